"""The record types, one file each, found by looking into this folder: adding a type is adding a file.

A file has the name of the last word of its collection. base/ is what they are made of.
"""

import importlib
import pkgutil

from unified_indexer.records.base.record_type import RecordType


def find() -> tuple[RecordType, ...]:
    """The `RECORD` of each file in this folder, ordered by collection."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg]
    found: list[RecordType] = [importlib.import_module(f"{__name__}.{name}").RECORD for name in names]
    return tuple(sorted(found, key=lambda record_type: record_type.collection))


RECORD_TYPES = find()
"""The one registry: everything that works with records uses it. Only what makes a database (`database/schema`,
`database/functions`) is given its record types, because tests and benchmarks make databases for others."""
