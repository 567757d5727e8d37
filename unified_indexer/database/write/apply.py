"""The two ways into the database's functions: a batch that commits by itself, and one commit inside a caller's transaction."""

from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.write.batch import Batch
from unified_indexer.database.write.outcome import Outcome, parse, parse_all
from unified_indexer.database.write.parameters import PARAMETERS, Mode


def _places(others: int) -> str:
    """As many places for arguments as there are parameters, and these others."""
    return ", ".join(f"${number + 1}" for number in range(others + len(PARAMETERS)))


APPLY_ONE = f"SELECT unified_worker.apply_commit({_places(1)})"
APPLY_ALL = f"CALL unified_worker.apply_commits({_places(6)})"


async def apply_one(connection: Connection, mode: Mode, batch: Batch) -> Outcome:
    """Apply a batch of one commit inside the connection's own transaction."""
    return parse(await connection.fetchval(APPLY_ONE, mode, *batch.first()))


async def apply_all(
    connection: Connection, lane: int, relay: str, batch: Batch, *, durable: bool, isolate: bool, confirm: bool = False
) -> list[Outcome]:
    """Apply a batch, each commit in its own transaction; return an outcome per commit. Not inside a transaction."""
    return parse_all(await connection.fetchval(APPLY_ALL, lane, relay, durable, isolate, confirm, *batch.arguments(), []))
