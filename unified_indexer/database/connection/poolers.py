"""A pooler between us and PostgreSQL: one with a session per connection is as good as none, others are refused.

pgbouncer drops what is sent with a connection, so there the settings are set in the session. In transaction mode sessions are
everybody's: the lock would be nobody's, and our settings those of other programs. So that is found out before any is set.
"""

import asyncpg

from unified_indexer.database.connection.sessions import SESSION_SETTINGS, Connection
from unified_indexer.errors import OperatorError

POOLER = (
    "DATABASE_URL leads to a connection pooler that keeps no session per connection, or refuses session settings (pgbouncer in "
    "transaction mode?): point it at PostgreSQL itself, or set the pooler up as docs/high-availability.md says (session mode)"
)
# Others may use the pooler at the same time. Alone, the first time tells: the session that was used last is lent first.
ATTEMPTS = 5

ARRIVED = "SELECT pg_backend_pid(), setting FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'"
PROCESS = "SELECT pg_backend_pid()"
SET = "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS asked (name, value)"


async def pooled(connection: Connection) -> bool:
    """Whether something lies between: another process answers than the one that was announced, or a setting was dropped."""
    row = await connection.fetchrow(ARRIVED)
    return row is None or tuple(row) != (connection.get_server_pid(), SESSION_SETTINGS["lock_timeout"])


async def refuse_shared(connection: Connection, url: str, patience: float) -> None:
    """Raise OperatorError if another connection gets this one's session, or this one another, where each has asked in turn.

    `url`: where both lead. `patience`: seconds for the second one to be made.
    """
    other: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url, timeout=patience, server_settings=SESSION_SETTINGS)
    try:
        for _ in range(ATTEMPTS):
            before = await connection.fetchval(PROCESS)
            await other.execute("BEGIN")  # no block of asyncpg's, which would wait for a silent server without end
            held = await other.fetchval(PROCESS)
            after = await connection.fetchval(PROCESS)
            await other.execute("COMMIT")
            if held == before or after != before:
                raise OperatorError([POOLER])
    finally:
        other.terminate()


async def set_all(connection: Connection) -> None:
    """Set in the session what was sent with the connection."""
    await connection.fetch(SET, list(SESSION_SETTINGS), list(SESSION_SETTINGS.values()))
