"""Faults of the hosts beside the relay: which answer goes wrong, how, and when. They may be set and cleared at any time."""

import time
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, TypeAlias


@dataclass(frozen=True, slots=True)
class Status:
    """This HTTP status in place of the answer; of a DNS, its rcode. `error` is the name of an XRPC error."""

    code: int
    retry_after: str | None = None
    error: str = "Unavailable"


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
    """A false document: `name` is one of documents.ALTERATIONS. Only what gives documents heeds it."""

    name: str


HostFault: TypeAlias = Status | Slow | Redirect | Huge | Text | Cut | Altered

ENDPOINTS = ("plc", "log", "export", "health", "web", "handle", "dns", "getRepoStatus", "getLatestCommit")
"""What can be asked: a DID of the directory, its log, the log of all, the health; a did:web host, a handle's host, the DNS; a
PDS."""
GROUPS = {"directory": ("plc", "log", "export", "health"), "pds": ("getRepoStatus", "getLatestCommit")}


class _Rule(NamedTuple):
    fault: HostFault
    endpoints: tuple[str, ...]
    subject: str | None
    since: float
    until: float


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
        since: float = 0.0,
        until: float = inf,
    ) -> None:
        """From now on, or in these seconds, this endpoint (or group of them; None: all) fails for this DID or handle (None:
        for all). Raises ValueError for an endpoint that is none.
        """
        endpoints = ENDPOINTS if endpoint is None else GROUPS.get(endpoint, (endpoint,))
        if not set(endpoints) <= set(ENDPOINTS):
            raise ValueError(f"{endpoint!r} is none of {', '.join((*ENDPOINTS, *GROUPS))}")
        self._rules.append(_Rule(fault, endpoints, subject, since, until))

    def clear(self) -> None:
        """All is well again."""
        self._rules.clear()

    def of(self, endpoint: str, subject: str) -> HostFault | None:
        """What goes wrong now with this request."""
        now = time.monotonic() - self._began
        for rule in reversed(self._rules):
            if endpoint in rule.endpoints and rule.subject in (None, subject) and rule.since <= now < rule.until:
                return rule.fault
        return None
