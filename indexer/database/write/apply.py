"""The two ways into the database's functions: a batch that commits by itself, and one commit inside a caller's transaction."""

from indexer.database.connection.sessions import Connection
from indexer.database.write.batch import Batch
from indexer.database.write.outcome import Outcome, parse, parse_all

APPLY_ONE = f"SELECT unified_worker.apply_commit({', '.join(f'${n}' for n in range(1, 23))})"
APPLY_ALL = f"CALL unified_worker.apply_commits({', '.join(f'${n}' for n in range(1, 27))})"


async def apply_one(connection: Connection, mode: int, batch: Batch) -> Outcome:
    """Applies a batch of one commit inside the connection's own transaction. `mode`: `sql.MODE_*`."""
    commit, bounds = ([values[0] for values in arrays] for arrays in (batch.commits(), batch.bounds()))
    return parse(await connection.fetchval(APPLY_ONE, mode, *commit, batch.buckets, *bounds, *batch.operations()))


async def apply_all(
    connection: Connection, lane: int, relay: str, batch: Batch, *, durable: bool, isolate: bool
) -> list[Outcome]:
    """Applies a batch, each commit in a transaction of its own; returns an outcome per commit. Not inside a transaction."""
    per_commit = (*batch.commits(), batch.buckets, *batch.bounds())
    return parse_all(await connection.fetchval(APPLY_ALL, lane, relay, durable, isolate, *per_commit, *batch.operations(), []))
