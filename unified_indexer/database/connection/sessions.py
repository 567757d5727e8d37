"""The settings of our sessions: everything that changes the meaning of SQL is set, whatever the database's settings are."""

from typing import TYPE_CHECKING, Any

import asyncpg

from unified_indexer.errors import OperatorError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[Any] | PoolConnectionProxy[Any]
else:
    Connection = asyncpg.Connection

# Sent with each connection, so they win over ALTER DATABASE, ALTER ROLE and the server's own file. Not among them:
# default_transaction_read_only, by which hosters protect a disk that is nearly full. It is logged and waited for.
SESSION_SETTINGS = {
    "application_name": "unified-worker (python)",  # operators filter pg_stat_activity by it
    "client_connection_check_interval": "1000",  # ms: a worker killed with -9 must not leave its call running
    # A worker whose machine is gone has lost its lock within 11 s: while its connection is idle, and while the server's answer
    # is on its way.
    "tcp_keepalives_idle": "5",  # s
    "tcp_keepalives_interval": "2",  # s
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "11000",  # ms
    # How long things may take. A call holds hundreds of commits, so no limit of somebody else's fits it.
    "lock_timeout": "30000",  # ms: a lock held on our tables by others is a retry that is logged, not a silent wait
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",  # the lock's connection is idle by nature
    # What a statement means.
    "default_transaction_isolation": "read committed",  # where two repos meet, each must see what the other committed
    "default_transaction_deferrable": "off",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "row_security": "on",
    "quote_all_identifiers": "off",
    "check_function_bodies": "on",
    "plpgsql.extra_errors": "none",
    "exit_on_error": "off",
    "synchronous_commit": "off",  # a call flushes once, at its end (functions/apply_commits.sql)
    "client_min_messages": "error",  # to_tsvector notes every long word
    # How it is carried out.
    "jit": "off",
    "gin_fuzzy_search_limit": "0",
    "plan_cache_mode": "auto",
    "enable_indexscan": "on",
    "enable_indexonlyscan": "on",
    "enable_bitmapscan": "on",
    # Rows are looked up by keys alone. A plan is made once a session, perhaps while its table is empty: one that reads the
    # table whole would still do so when that has grown.
    "enable_seqscan": "off",
}

# What can't be sent with the connection: settings that older servers lack, or that not everybody may set.
# search_path: the first schema that is not the system's, so that nothing comes before pg_catalog.
SETTLE = """
SELECT CASE WHEN current_setting('server_version_num')::int >= 170000 THEN set_config('transaction_timeout', '0', false) END,
  (SELECT set_config('search_path', quote_ident(s) || ', pg_temp', false) FROM unnest(current_schemas(false)) AS s
   WHERE s NOT LIKE 'pg\\_%' LIMIT 1),
  current_setting('session_replication_role') AS triggers
"""
# Whether what this session writes is told to other services: data of the session, since commands write as well.
PUBLISHES = "current_setting('unified_worker.publish', true) = 'on'"
PUBLISH = "SELECT set_config('unified_worker.publish', 'on', false)"
FIRE_TRIGGERS = "SET session_replication_role = origin"
NO_TRIGGERS = (
    "session_replication_role is {} for this user, which turns triggers and foreign keys off, and only a superuser may turn "
    "them on: ALTER ROLE … RESET session_replication_role (or ALTER DATABASE … RESET …)"
)


async def settle(connection: Connection) -> None:
    """Set what SESSION_SETTINGS cannot. Raises OperatorError if this user may not."""
    row = await connection.fetchrow(SETTLE)
    if row is not None and row["triggers"] != "origin":
        try:
            await connection.execute(FIRE_TRIGGERS)
        except asyncpg.InsufficientPrivilegeError:
            raise OperatorError([NO_TRIGGERS.format(row["triggers"])]) from None
