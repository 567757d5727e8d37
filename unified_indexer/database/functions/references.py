"""The functions that read a record's references, and the locks for rows that several repos touch (references.sql, locks.sql,
lock_commit.sql).

Records meet where one counts or looks up what is another repo's: a like and the reply that it is of, a gate and a reply. A
commit takes their locks before it looks at, or writes, anything of another repo's: all at once, in order, so that two commits
never wait for each other. They are advisory locks, whose keys are numbers: 30 bits of the place's hash.
"""

import hashlib
from collections.abc import Mapping

from unified_indexer.database.functions.sql_files import statements
from unified_indexer.records.base.values import MAX_CID_CHARS, MAX_DID_CHARS, MAX_URI_CHARS

LOCK_CLASS = int.from_bytes(hashlib.sha256(b"unified_worker:meet").digest()[:4], "big") >> 1

DID = "did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]"

LOCK_ARM = """\
      WHEN '{collection}' THEN
        v_meets := v_meets || ARRAY({meeting});"""


def functions() -> list[str]:
    """The functions that read references, and those that lock."""
    widths = {"max_uri_chars": MAX_URI_CHARS, "max_did_chars": MAX_DID_CHARS, "max_cid_chars": MAX_CID_CHARS}
    return [*statements("references", did=DID, **widths), *statements("locks", lock_class=LOCK_CLASS)]


def lock_commit(meetings: Mapping[str, str]) -> list[str]:
    """The function that takes all locks of a commit of several operations. `meetings`: by collection, the query for where the
    rows at the URIs `v_uris` meet others."""
    arms = "\n".join(LOCK_ARM.format(collection=collection, meeting=meeting) for collection, meeting in meetings.items())
    return statements("lock_commit", meetings=arms, lock_class=LOCK_CLASS)
