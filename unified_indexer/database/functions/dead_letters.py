"""The limits of dead letters, and the functions that keep and close them (dead_letters.sql).

A letter's key is (did, rev, path); where nothing decodes, did and rev are '' and path is the frame's SHA-256. One frame serves
all letters of its commit; where another frame has the same key, the letter and its frame are the later one's. A later operation
on the same (did, path) closes a letter in its own transaction, so that a retry never resurrects what was changed since;
`repos.held` says whether there may be anything to look for.
"""

from unified_indexer.database.functions.sql_files import statements

# Beyond these a letter keeps its metadata, but not its frame.
MAX_LETTERS_OF_A_DID = 1_000
# 1 GB in all (and what several lanes keep at once), of which frames that may be forged fill no more than a half
MAX_FRAMES_BYTES = 10**9

# Reasons of what is sound and only waits: for a row of another table, for another table to let a row go, for the end of a wipe.
PENDING = "'foreign_key', 'referenced', 'wiping'"


def functions(letters: int = MAX_LETTERS_OF_A_DID, frames_bytes: int = MAX_FRAMES_BYTES) -> list[str]:
    """The functions, with these limits."""
    return statements("dead_letters", letters=letters, bytes=frames_bytes, forged_bytes=frames_bytes // 2, pending=PENDING)
