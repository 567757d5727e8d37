"""Lists of repos as servers give them, page by page. What an entry lacks or has wrong makes it no entry, and nothing worse.

Sources: the lexicons com.atproto.sync.listRepos, listHosts and listReposByCollection, and com.atproto.repo.listRecords.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import quote, urlencode

import orjson

from unified_indexer.backfill.outcome import HIDDEN, Failed, Kind, of_error
from unified_indexer.backfill.pace import Outcome
from unified_indexer.backfill.rates import Rate, read_rate
from unified_indexer.backfill.turns import HostTurns
from unified_indexer.identity.document import read_pds
from unified_indexer.identity.downloads import Answer, Downloads
from unified_indexer.identity.errors import FetchError, NotAllowed
from unified_indexer.identity.host_names import is_host_name
from unified_indexer.protocol.commits import MAX_DID_CHARACTERS
from unified_indexer.protocol.syntax import is_did, is_tid

MAX_PAGE_BYTES = 2**20
MAX_CURSOR_CHARACTERS = 2_048
MAX_ACCOUNTS = 2**40
FOLLOW = "app.bsky.graph.follow"
_LEFT_OUT = ("offline", "banned")  # statuses of hosts


class Listed(NamedTuple):
    """A repo on a list. `rev`: where it stood; '' where the list does not say."""

    did: str
    rev: str = ""


class Host(NamedTuple):
    """A server on a relay's list: its origin, and how many accounts it is said to have."""

    url: str
    accounts: int | None


class Page(NamedTuple):
    """What a list of repos says: those that are active."""

    repos: list[Listed]
    cursor: str | None


class HostPage(NamedTuple):
    """What a list of servers says: those that may be asked."""

    hosts: list[Host]
    cursor: str | None


class Lists:
    """Asks for pages, each in its host's turn, as for repos."""

    def __init__(self, downloads: Downloads, hosts: HostTurns, *, allow_private: bool = False) -> None:
        self._downloads = downloads
        self._hosts = hosts
        self._paces = hosts.paces
        self._allow_private = allow_private

    async def repos(self, host: str, cursor: str | None) -> Page | Failed:
        """The next page of a server's repos."""
        body = await self._ask(host, "com.atproto.sync.listRepos", {"limit": "1000"}, cursor)
        if isinstance(body, Failed):
            return body
        found = (_repo(entry) for entry in _entries(body, "repos"))
        return Page([repo for repo in found if repo is not None], _cursor(body))

    async def of_collection(self, host: str, collection: str, cursor: str | None) -> Page | Failed:
        """The next page of the repos that have, or had, records of a collection."""
        method, query = "com.atproto.sync.listReposByCollection", {"collection": collection, "limit": "2000"}
        body = await self._ask(host, method, query, cursor)
        if isinstance(body, Failed):
            return body
        dids = (_did(entry.get("did")) for entry in _entries(body, "repos"))
        return Page([Listed(did) for did in dids if did is not None], _cursor(body))

    async def follows(self, host: str, did: str, cursor: str | None) -> Page | Failed:
        """The next page of those whom an account follows."""
        query = {"repo": did, "collection": FOLLOW, "limit": "100"}
        body = await self._ask(host, "com.atproto.repo.listRecords", query, cursor)
        if isinstance(body, Failed):
            return body
        values = (_fields(entry.get("value")) for entry in _entries(body, "records"))
        dids = (_did(value.get("subject")) for value in values)
        return Page([Listed(did) for did in dids if did is not None], _cursor(body))

    async def hosts(self, relay: str, cursor: str | None) -> HostPage | Failed:
        """The next page of the servers that a relay reads."""
        body = await self._ask(relay, "com.atproto.sync.listHosts", {"limit": "1000"}, cursor)
        if isinstance(body, Failed):
            return body
        found = (self._host(entry) for entry in _entries(body, "hosts"))
        return HostPage([host for host in found if host is not None], _cursor(body))

    def _host(self, entry: Mapping[str, Any]) -> Host | None:
        if entry.get("status") in _LEFT_OUT:
            return None
        url, accounts = origin(entry.get("hostname"), allow_private=self._allow_private), entry.get("accountCount")
        known = isinstance(accounts, int) and not isinstance(accounts, bool) and 0 <= accounts < MAX_ACCOUNTS
        return None if url is None else Host(url, accounts if known else None)

    async def _ask(self, host: str, method: str, query: dict[str, str], cursor: str | None) -> Mapping[str, Any] | Failed:
        """The body of an answer."""
        more = {} if cursor is None else {"cursor": cursor}
        url = f"{host}/xrpc/{method}?{urlencode(query | more, quote_via=quote)}"
        if not (parked := self._paces.parked(host, time.monotonic())):
            async with self._hosts.turn(host):
                if not (parked := self._paces.parked(host, time.monotonic())):
                    return await self._page(host, url)
        return Failed("parked", Kind.LATER, parked)

    async def _page(self, host: str, url: str) -> Mapping[str, Any] | Failed:
        rate: Rate | None = None
        heard = Outcome.ANSWERED
        try:
            async with self._downloads.get(url) as answer:
                rate = read_rate(answer.headers, time.time())
                if answer.status == 200:
                    return await _body(answer)
                if answer.status == 429 or (answer.status == 503 and rate.wait is not None):
                    heard = Outcome.LIMITED
                else:
                    heard = Outcome.OVERLOADED if answer.status >= 500 else heard
                    return _not_given(answer.status, (await answer.told()).error)
        except FetchError as error:
            heard = heard if isinstance(error, NotAllowed) else Outcome.OVERLOADED
            return of_error(error)
        finally:
            self._paces.heard(host, heard, time.monotonic(), rate)
        return Failed("rate_limited", Kind.LATER, self._paces.parked(host, time.monotonic()))


def origin(name: object, *, allow_private: bool = False) -> str | None:
    """The origin of a host that is named as listHosts names them, or as people do; None if that may not be asked.

    `allow_private`: http for this machine, and any port.
    """
    if not isinstance(name, str):
        return None
    text = name.lower().rstrip("/")
    if "://" not in text:
        local = allow_private and text.partition(":")[0] in ("localhost", "127.0.0.1")
        text = f"{'http' if local else 'https'}://{text}"
    url = read_pds(text, allow_private=allow_private)
    if url is None or allow_private:
        return url
    return url if is_host_name(url.partition("://")[2]) else None


def _not_given(status: int, error: str | None) -> Failed:
    """What an answer other than 200 means, and not too much was asked."""
    if error in HIDDEN:
        return Failed(HIDDEN[error], Kind.UNAVAILABLE)
    if status in (404, 410, 501):
        return Failed("no_list", Kind.UNAVAILABLE)
    return Failed("server_error" if status >= 500 else "list_refused", Kind.RETRY)


async def _body(answer: Answer) -> Mapping[str, Any] | Failed:
    parts: list[bytes] = []
    size = 0
    async for piece in answer.pieces():
        size += len(piece)
        if size > MAX_PAGE_BYTES:
            return Failed("too_large", Kind.RETRY)
        parts.append(piece)
    try:
        body: object = orjson.loads(b"".join(parts))
    except orjson.JSONDecodeError:
        return Failed("not_json", Kind.RETRY)
    return cast("dict[str, Any]", body) if isinstance(body, dict) else Failed("bad_answer", Kind.RETRY)


def _entries(body: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    entries = body.get(name)
    for entry in cast("list[object]", entries) if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield cast("dict[str, Any]", entry)


def _fields(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _cursor(body: Mapping[str, Any]) -> str | None:
    """An empty one is none; one of too many characters can't be asked for."""
    cursor = body.get("cursor")
    return cursor if isinstance(cursor, str) and 0 < len(cursor) <= MAX_CURSOR_CHARACTERS and "\0" not in cursor else None


def _repo(entry: Mapping[str, Any]) -> Listed | None:
    """Of an older server's list `active` is missing: all on it are."""
    did, rev = _did(entry.get("did")), entry.get("rev")
    if did is None or entry.get("active", True) is not True:
        return None
    return Listed(did, rev if isinstance(rev, str) and is_tid(rev) else "")


def _did(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= MAX_DID_CHARACTERS and is_did(value) else None
