"""Install the functions where they are not there as they should be: to replace all of them takes a start longest."""

import hashlib
from collections.abc import Sequence

from unified_indexer.database.connection.sessions import Connection

# Whatever somebody has changed by hand, and whatever another version has installed, is noticed: the whole definitions count.
PRESENT = """
SELECT md5(string_agg(pg_get_functiondef(p.oid), '' ORDER BY p.oid::regprocedure::text COLLATE "C"))
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = 'unified_worker'::regnamespace AND p.prokind IN ('f', 'p')
"""
NOTED = "SELECT functions FROM unified_worker.schema_version ORDER BY version DESC LIMIT 1"
NOTE = f"""
UPDATE unified_worker.schema_version SET functions = $1 || ' ' || ({PRESENT})
WHERE version = (SELECT max(version) FROM unified_worker.schema_version)
"""


async def install(connection: Connection, statements: Sequence[str]) -> bool:
    """Make or replace the functions, unless these very statements have left them as they are. Returns whether it did.

    Within the caller's transaction, which keeps others from doing the same at once.
    """
    text = ";\n".join(statements)
    wanted = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    if await connection.fetchval(NOTED) == f"{wanted} {await connection.fetchval(PRESENT)}":
        return False
    await connection.execute(text)  # in one round trip
    await connection.execute(NOTE, wanted)
    return True
