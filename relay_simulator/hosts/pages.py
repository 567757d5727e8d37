"""Lists page by page: com.atproto.sync.listRepos, listHosts, listReposByCollection and com.atproto.repo.listRecords.

Cursors are opaque, and these need percent-encoding. Each names the place where its page ended.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from aiohttp import web

from relay_simulator.hosts.answers import told
from relay_simulator.hosts.faults import Altered

Entry: TypeAlias = Mapping[str, Any]
Item = TypeVar("Item")


class Shape(NamedTuple):
    """A list's name in its answer, and how many entries a page has at most, and unasked."""

    name: str
    most: int
    usual: int


REPOS = Shape("repos", 1_000, 500)
HOSTS = Shape("hosts", 1_000, 200)
BY_COLLECTION = Shape("repos", 2_000, 500)
SHORT = 5  # entries
RECORDS = Shape("records", 100, 50)
ALTERATIONS = ("same-cursor", "no-news", "empty-pages", "odd-entries", "bare", "no-list", "short-pages")
"""'same-cursor': every page ends at one cursor. 'no-news': the first page comes again and again, under new cursors.
'empty-pages': before each page comes an empty one, with a cursor. 'odd-entries': around the right entries are some that are
none. 'bare': entries say no more than who they are of. 'no-list': the answer has a cursor only. 'short-pages': with a value, a
page has so many entries at most, whatever was asked for.
"""
_ODD: tuple[object, ...] = (
    {},
    {"did": 7},
    {"did": "did:PLC:upper"},
    {"did": "nobody"},
    None,
    "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
    {"hostname": []},
)


def page(
    request: web.Request,
    shape: Shape,
    items: Sequence[Item],
    entry: Callable[[Item], Entry],
    alteration: Altered | None,
) -> web.Response:
    """The page that is asked for: of each item on it, its entry."""
    name = alteration.name if alteration is not None else ""
    try:
        limit = int(request.query.get("limit", shape.usual))
        place = _place(request.query.get("cursor"))
    except ValueError:
        return told({"error": "InvalidRequest", "message": "no such cursor or limit"}, 400)
    if not 1 <= limit <= shape.most:
        return told({"error": "InvalidRequest", "message": f"limit must be between 1 and {shape.most}"}, 400)
    if name == "short-pages" and alteration is not None:
        limit = min(limit, alteration.value or SHORT)
    start, visit = place
    end = start + limit
    cursor = _cursor(end, 0) if end < len(items) else None
    if name == "no-news":
        start, end, cursor = 0, limit, _cursor(0, visit + 1)
    elif name == "same-cursor":
        cursor = _cursor(min(limit, len(items)), 0)
    elif name == "empty-pages" and visit == 0:
        end, cursor = start, _cursor(start, 1)
    shown = [entry(item) for item in items[start:end]]
    if name == "bare":
        shown = [{key: made[key] for key in ("did", "hostname", "uri") if key in made} for made in shown]
    body: dict[str, Any] = {shape.name: [*_ODD, *shown, *_ODD] if name == "odd-entries" else shown}
    if name == "no-list":
        body = {}
    return told(body if cursor is None else {**body, "cursor": cursor})


def _cursor(place: int, visit: int) -> str:
    return f"{place}+{visit}&=%"


def _place(cursor: str | None) -> tuple[int, int]:
    """Where a page begins, and how often it was asked for before. Raises ValueError."""
    if cursor is None:
        return 0, 0
    if not cursor.endswith("&=%"):
        raise ValueError(cursor)
    place, visit = cursor.removesuffix("&=%").split("+")
    return int(place), int(visit)
