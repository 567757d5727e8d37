"""All periodic work in the database while the stream is written, as one list."""

from collections.abc import Coroutine
from typing import Any

from unified_indexer.database.background.judge import Judge
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.background.sizes import Sizes
from unified_indexer.database.background.stuck import Stuck
from unified_indexer.database.background.sweeper import Sweeper
from unified_indexer.database.background.waiting import Pending
from unified_indexer.database.background.wiper import Wiper
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.metrics import Metrics
from unified_indexer.selection import Selection


def background(pool: DatabasePool, selection: Selection, metrics: Metrics) -> list[Coroutine[Any, Any, object]]:
    """The tasks to run until they are cancelled. The rebuild ends by itself when an upgrade's work is done."""
    return [
        Pending(pool, selection).keep_applying(),
        Wiper(pool).keep_wiping(),
        Judge(pool).keep_judging(),
        Sweeper(pool).keep_sweeping(),
        Stuck(pool, metrics).keep_counting(),
        Rebuild(pool).finish(),
        Sizes(pool).keep_sampling(),
    ]
