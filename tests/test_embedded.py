"""The embedded PostgreSQL: starts, keeps its data, lets nobody else in, and never outlives its parent."""

import asyncpg


async def test_databases_are_fresh(any_database: str) -> None:
    connection = await asyncpg.connect(any_database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0
        await connection.execute("CREATE TABLE mark ()")
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SELECT lower('ÄÖ')") == "äö"
    finally:
        await connection.close()
