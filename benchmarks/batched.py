"""The worker with another largest batch: python -m benchmarks.batched EVENTS."""

import sys

from unified_indexer.command_line import process
from unified_indexer.pipeline import lanes
from unified_worker import UnifiedWorker

if __name__ == "__main__":
    lanes.MAX_BATCH = int(sys.argv[1])
    sys.exit(process.main(UnifiedWorker, []))
