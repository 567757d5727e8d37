"""What can be seen of the room that the database has."""

from unified_indexer.database.connection.sessions import Connection

# Where the server keeps its data, if it may be told, and whether it is on this machine as far as the connection shows.
PLACE = """
SELECT s.setting FROM pg_catalog.pg_settings AS s
WHERE s.name = 'data_directory' AND (inet_server_addr() IS NULL OR host(inet_server_addr()) IN ('127.0.0.1', '::1'))
"""
SIZE = "SELECT pg_catalog.pg_database_size(current_database())"


async def data_directory(connection: Connection) -> str | None:
    """The server's data directory; None where the server is elsewhere, or our role may not know it."""
    return await connection.fetchval(PLACE)


async def size(connection: Connection) -> int:
    """The database's bytes."""
    return await connection.fetchval(SIZE)
