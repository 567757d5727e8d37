"""Faults of the hosts beside the relay: which answer goes wrong, how, and when. They may be set and cleared at any time."""

import time
from dataclasses import dataclass
from math import inf
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Status:
    """This HTTP status in place of the answer; of a DNS, its rcode. `error` is the name of an XRPC error, with a message."""

    code: int
    retry_after: str | None = None
    error: str = "Unavailable"
    message: str = "a fault on order"


@dataclass(frozen=True, slots=True)
class Limited:
    """429: so many seconds are to pass. That is said in a `Retry-After` of seconds, in one of a date, in the RateLimit headers
    of a PDS, or nowhere.
    """

    seconds: float
    form: Literal["seconds", "date", "reset", "silent"] = "reset"


@dataclass(frozen=True, slots=True)
class Remaining:
    """The right answer, with the RateLimit headers of a PDS: so many requests of `limit` are left in the next `seconds`."""

    left: int
    limit: int = 3_000
    seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Slow:
    """The answer after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Redirect:
    """HTTP 302 to there."""

    location: str


@dataclass(frozen=True, slots=True)
class Huge:
    """The answer, made longer by so many bytes: right in all but its size."""

    size: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Text:
    """This text in place of the answer; of a DNS, in place of its TXT records, one a line."""

    text: str = "<!doctype html><title>Welcome</title>"


@dataclass(frozen=True, slots=True)
class Cut:
    """No answer: the connection is dropped; a DNS keeps silent."""


@dataclass(frozen=True, slots=True)
class Altered:
    """A false document, repository or page: `name` is one of documents.ALTERATIONS, cars.ALTERATIONS or pages.ALTERATIONS.
    What gives none of that kind gives the right answer. `value` is for the few that have one.
    """

    name: str
    value: int | None = None


HostFault: TypeAlias = Status | Limited | Remaining | Slow | Redirect | Huge | Text | Cut | Altered

_PDS = ("getRepoStatus", "getLatestCommit", "getRepo")
_LISTS = ("listRepos", "listRecords", "listHosts", "listReposByCollection")
ENDPOINTS = ("plc", "log", "export", "health", "web", "handle", "dns", *_PDS, *_LISTS)
"""What can be asked: a DID of the directory, its log, the log of all, the health; a did:web host, a handle's host, the DNS; a
PDS; a PDS or a relay, page by page.
"""
GROUPS = {"directory": ("plc", "log", "export", "health"), "pds": _PDS, "lists": _LISTS}


@dataclass(slots=True)
class _Rule:
    fault: HostFault
    endpoints: tuple[str, ...]
    subject: str | None
    host: str | None
    since: float
    until: float
    times: float


class HostFaults:
    """The faults there are; the one that was put last counts. Seconds are those since `start`, which the servers call."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._began = inf

    def start(self) -> None:
        """Time begins."""
        self._began = time.monotonic()

    def put(
        self,
        fault: HostFault,
        endpoint: str | None = None,
        subject: str | None = None,
        *,
        host: str | None = None,
        since: float = 0.0,
        until: float = inf,
        times: float = inf,
    ) -> None:
        """From now on, or in these seconds, this endpoint (or group of them; None: all) fails for this DID or handle (None:
        for all), at the host with this `Host` header (None: at all), so many times. Raises ValueError for an endpoint that is
        none.
        """
        endpoints = ENDPOINTS if endpoint is None else GROUPS.get(endpoint, (endpoint,))
        if not set(endpoints) <= set(ENDPOINTS):
            raise ValueError(f"{endpoint!r} is none of {', '.join((*ENDPOINTS, *GROUPS))}")
        self._rules.append(_Rule(fault, endpoints, subject, host, since, until, times))

    def clear(self) -> None:
        """All is well again."""
        self._rules.clear()

    def of(self, endpoint: str, subject: str, host: str = "") -> HostFault | None:
        """What goes wrong now with this request, which has come."""
        now = time.monotonic() - self._began
        for rule in reversed(self._rules):
            meant = endpoint in rule.endpoints and rule.subject in (None, subject) and rule.host in (None, host)
            if meant and rule.since <= now < rule.until and rule.times > 0:
                rule.times -= 1
                return rule.fault
        return None
