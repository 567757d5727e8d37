"""The two ways into the database's functions: a batch that commits by itself, and one commit inside a caller's transaction."""

from indexer.batch import Batch
from indexer.database.pool import Connection

APPLY_ONE = f"SELECT unified_worker.apply_commit({', '.join(f'${n}' for n in range(1, 18))})"
APPLY_ALL = f"CALL unified_worker.apply_commits({', '.join(f'${n}' for n in range(1, 21))})"


async def apply_one(connection: Connection, mode: int, batch: Batch) -> str:
    """Applies a batch of one commit inside the connection's own transaction; returns its outcome. `mode`: `sql.MODE_*`."""
    return await connection.fetchval(APPLY_ONE, mode, *(values[0] for values in batch.commits()), *batch.operations())


async def apply_all(connection: Connection, lane: int, batch: Batch, *, durable: bool, isolate: bool) -> list[str]:
    """Applies a batch, each commit in a transaction of its own; returns an outcome a commit. Not inside a transaction."""
    return await connection.fetchval(APPLY_ALL, lane, durable, isolate, *batch.commits(), *batch.operations(), [])
