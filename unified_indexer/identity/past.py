"""The keys that accounts had before: a commit that was written before a change of keys may be read after it.

Source: https://web.plc.directory/spec/v0.1/did-plc, the audit log of a DID. A document names the present key alone. A did:web
has no log: nobody can say which key it had.
"""

import logging
from collections import Counter
from itertools import pairwise
from typing import Any, NamedTuple, cast

from unified_indexer.errors import Rejected
from unified_indexer.identity.client import Client
from unified_indexer.identity.directory import NO_DIRECTORY, word_of
from unified_indexer.identity.errors import FetchError, NotFound, Unreachable
from unified_indexer.identity.export import read_entry
from unified_indexer.identity.pace import Breaker, Pace
from unified_indexer.identity.recent import Recent
from unified_indexer.log.handler import warn_limited
from unified_indexer.protocol.keys import SigningKey, read_key
from unified_indexer.protocol.syntax import tid_second

MARGIN = 60  # seconds by which the clocks of a server and of the directory may differ
MOST_HELD = 16  # keys of a DID, the newest
MAX_LOG_BYTES = 2**20  # some 1,400 operations
MOST_PASTS = 10_000  # DIDs
INTERVAL = 60.0  # seconds until the log of a DID is read again


log = logging.getLogger(__name__)


class Held(NamedTuple):
    """A key that an account has no more, as of `protocol.keys.key_bytes`. Seconds since 1970, by the directory's clock."""

    key: bytes
    since: int
    until: int


def read_past(did: str, log: object) -> tuple[Held, ...]:
    """The keys that the audit log of `did` names, but for the present one; what a recovery has nullified never was a key.

    Raises Rejected: `bad_plc_operation`, also if it is no log.
    """
    if not isinstance(log, list) or not log:
        raise Rejected("bad_plc_operation", "no log")
    changes: list[tuple[bytes | None, int]] = []
    for entry in cast("list[dict[str, Any]]", log):
        operation = read_entry(entry)
        if operation is None:
            continue
        if operation.row.did != did:
            raise Rejected("bad_plc_operation", "another DID's")
        if not changes or changes[-1][0] != operation.row.key:
            changes.append((operation.row.key, operation.made))
    held = [Held(key, since, until) for (key, since), (_, until) in pairwise(changes) if key is not None]
    return tuple(held[-MOST_HELD:])


class Pasts:
    """Reads the logs of DIDs at the directory `url`, at the pace of its other look-ups, which `counts` counts."""

    def __init__(self, client: Client, url: str, pace: Pace, breaker: Breaker, counts: Counter[str]) -> None:
        self._client = client
        self._url = url
        self._pace = pace
        self._breaker = breaker
        self._counts = counts
        self._pasts: dict[str, tuple[Held, ...]] = {}
        self._read = Recent(MOST_PASTS)
        self._in_vain = Recent(MOST_PASTS)  # what came was no log

    def __contains__(self, did: str) -> bool:
        """Whether the log of this DID was read within the last minute."""
        return did in self._read

    def keys(self, did: str, rev: str) -> list[SigningKey]:
        """The keys that a DID had when a commit of this rev was written, the newest first, as far as its log was read."""
        at = tid_second(rev).timestamp()
        held = [key for key, since, until in self._pasts.get(did, ()) if since - MARGIN <= at <= until + MARGIN]
        return [key for data in reversed(held) for key in _parsed(data)]

    async def read(self, did: str) -> bool:
        """Read the log of a DID when its turn comes; whether that was of use, or not needed within this minute."""
        if did in self._read:
            return True
        if self._breaker.is_open or did in self._in_vain:
            return False
        await self._pace.turn()
        try:
            past = await self._fetch(did)
        except FetchError as error:
            self._counts[error.reason] += 1
            if error.reason in NO_DIRECTORY or error.reason == "redirect":  # it may give documents all the same
                warn_limited(log, "log", "%s gives no log of a DID (%s): commits of older keys wait", self._url, error)
                self._in_vain.note(did, INTERVAL)
            else:
                self._breaker.failed(error.retry_after)
            return False
        self._counts["log"] += 1
        self._breaker.answered()
        self._pasts.pop(did, None)
        self._pasts[did] = past
        if len(self._pasts) > MOST_PASTS:
            del self._pasts[next(iter(self._pasts))]
        self._read.note(did, INTERVAL)
        return True

    async def _fetch(self, did: str) -> tuple[Held, ...]:
        """Raises Unreachable if no log of this DID comes: only a directory that does not know the DID says that there was no
        other key."""
        try:
            return read_past(did, await self._client.get_json(f"{self._url}/{did}/log/audit", MAX_LOG_BYTES, trusted=True))
        except Rejected:
            raise Unreachable("not_json", status=200) from None
        except FetchError as error:
            word = word_of(did, error)
            if isinstance(word, NotFound):
                return ()
            raise word from None


def _parsed(data: bytes) -> list[SigningKey]:
    """The key; nothing if it is none."""
    try:
        return [read_key(data)]
    except Rejected:
        return []
