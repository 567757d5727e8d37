"""Faults in a command's words: `ENDPOINT[/DID or handle]=KIND[:VALUE][@FROM[-TO]]`, the times in seconds from the start."""

import re
from math import inf

from relay_simulator.hosts import cars, documents, pages
from relay_simulator.hosts.faults import (
    Altered,
    Cut,
    HostFault,
    HostFaults,
    Huge,
    Limited,
    Redirect,
    Remaining,
    Slow,
    Status,
    Text,
)

_TIMES = re.compile(r"@(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?$")
KINDS = (
    *("a status", "a status:RETRY-AFTER", "error:NAME", "limited:SECONDS", "remaining:REQUESTS", "slow:SECONDS"),
    *("redirect:URL", "huge[:BYTES]", "text[:TEXT]", "cut"),
)
ALTERATIONS = (*documents.ALTERATIONS, *cars.ALTERATIONS, *pages.ALTERATIONS)


def parse_fault(text: str, faults: HostFaults) -> None:
    """Put a fault in. ENDPOINT is one of ENDPOINTS or GROUPS, or `*` for all; KIND one of KINDS or ALTERATIONS. ValueError if
    it is none.
    """
    place, _, rest = text.partition("=")
    times = _TIMES.search(rest)
    kind, colon, value = (rest[: times.start()] if times else rest).partition(":")
    fault = _fault(kind, value if colon else None)
    endpoint, _, subject = place.partition("/")
    since, until = (float(times[1]), float(times[2] or inf)) if times else (0.0, inf)
    faults.put(fault, None if endpoint == "*" else endpoint, subject or None, since=since, until=until)


def _fault(kind: str, value: str | None) -> HostFault:
    match kind, value:
        case "slow", str(seconds):
            return Slow(float(seconds))
        case "limited", str(seconds):
            return Limited(float(seconds))
        case "remaining", str(left):
            return Remaining(int(left))
        case "redirect", str(location):
            return Redirect(location)
        case "error", str(error):
            return Status(400, error=error)
        case "huge", size:
            return Huge() if size is None else Huge(int(size))
        case "text", content:
            return Text() if content is None else Text(content)
        case "cut", None:
            return Cut()
        case status, retry_after if re.fullmatch(r"[1-5]\d\d", status):
            return Status(int(status), retry_after)
        case name, None if name in ALTERATIONS:
            return Altered(name)
        case "drip" | "stall" | "reset" | "short-pages", str(size):
            return Altered(kind, int(size))
        case _:
            raise ValueError(f"{kind!r} is none of {', '.join((*KINDS, *ALTERATIONS))}")
