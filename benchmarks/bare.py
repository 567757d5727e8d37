"""The record types as rows of their own tables and no more: to compare with the classic design, and to tell what more costs.

python -m benchmarks.bare runs the worker with them: its procedure then writes no derived rows.
"""

import sys
from dataclasses import replace

from unified_indexer.command_line import process
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType
from unified_worker import UnifiedWorker

JUDGED = {"violates_thread_gate", "violates_embedding_rules", "has_thread_gate", "has_post_gate"}  # columns told by other rows


def bare(record_type: RecordType) -> RecordType:
    """The record type without what follows from its rows, and without columns that other types' rows decide."""
    columns = tuple(column for column in record_type.columns if column.name not in JUDGED)
    return replace(record_type, columns=columns, effects=(), functions=(), returning="")


BARE_TYPES = tuple(map(bare, RECORD_TYPES))


class BareWorker(UnifiedWorker):
    """The worker with those types."""

    record_types = BARE_TYPES


if __name__ == "__main__":
    sys.exit(process.main(BareWorker, []))
