"""Settings of a database that change what SQL means, or cut it short."""

import asyncpg

from unified_indexer.database.connection.sessions import SESSION_SETTINGS

HOSTILE = {
    "default_transaction_isolation": "repeatable read",
    "default_transaction_deferrable": "on",
    "standard_conforming_strings": "off",
    "backslash_quote": "on",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "100ms",
    "transaction_timeout": "100ms",  # from PostgreSQL 17 on
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "search_path": "pg_catalog, public",
    "session_replication_role": "replica",
    "row_security": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "bytea_output": "escape",
    "check_function_bodies": "off",
    "plpgsql.extra_errors": "all",
    "exit_on_error": "on",
    "gin_fuzzy_search_limit": "1",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
    "enable_seqscan": "on",
    "plan_cache_mode": "force_custom_plan",
    "jit": "on",
    "synchronous_commit": "off",
    "client_min_messages": "debug1",
    "quote_all_identifiers": "on",
    "extra_float_digits": "-15",
    "work_mem": "64kB",
}


async def change(url: str, settings: dict[str, str]) -> None:
    """ALTER DATABASE for each of them that the server has."""
    connection = await asyncpg.connect(url, server_settings=SESSION_SETTINGS)  # which no settings of before can harm
    try:
        name = await connection.fetchval("SELECT current_database()")
        known = {row["name"].lower() for row in await connection.fetch("SELECT name FROM pg_settings")}
        for setting, value in settings.items():
            if setting in known or "." in setting:
                listed = value if setting == "search_path" or value == "DEFAULT" else "'" + value.replace("'", "''") + "'"
                await connection.execute(f"ALTER DATABASE {name} SET {setting} = {listed}")
    finally:
        await connection.close()
