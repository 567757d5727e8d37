"""The tables of a large model part by part, so that no more than one part's rows are in memory.

A part has the rows whose keys begin with one of its accounts. They are worked out from those accounts' records, from those of
others that name one of these, and from the few of which any row may depend.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

from testing.model.compare import EVERYTHING, Within
from testing.model.expected import Expected, worked_out
from testing.model.model import Model, repo_row
from testing.model.names import LIKE, POST, REPOST, THREAD_GATE, Stored
from testing.model.posts import parent_uri, quote
from testing.model.protocol import authority


class Part:
    """What a model expects of some accounts."""

    def __init__(self, within: Within, expected: Expected) -> None:
        self.within = within
        self._expected = expected

    def expected(self) -> Expected:
        return self._expected


def parts(model: Model, count: int) -> Iterator[Part]:
    """The model in so many parts, one after the other. It takes in no events meanwhile."""
    dids = sorted(model.repos)
    edges = [dids[len(dids) * number // count] for number in range(1, count)]
    everywhere, here = _by_part(model, edges)
    handles = model.handles()
    for (first, end), records in zip(pairwise((EVERYTHING.first, *edges, EVERYTHING.end)), here, strict=True):
        within = Within(first, end)
        expected = worked_out([*records, *everywhere], handles, model.history)
        records.clear()
        for table, rows in expected.rows.items():
            expected.rows[table] = {key: found for key, found in rows.items() if within.has(key)}
        expected.waiting = set(filter(within.has, expected.waiting))
        expected.optional = {table: set(filter(within.has, keys)) for table, keys in expected.optional.items()}
        expected.rows["unified_worker.repos"] = {
            did: repo_row(did, repo) for did, repo in model.repos.items() if first <= did < end
        }
        yield Part(within, expected)


def _by_part(model: Model, edges: list[str]) -> tuple[list[Stored], list[list[Stored]]]:
    """The records that every part needs, and those that only some do."""
    everywhere: list[Stored] = []
    here: list[list[Stored]] = [[] for _ in range(len(edges) + 1)]
    gated = {
        stored.record["post"]
        for repo in model.repos.values()
        for stored in repo.records.values()
        if stored.collection == THREAD_GATE
    }
    gating = {authority(uri) for uri in gated}
    for repo in model.repos.values():
        for stored in repo.records.values():
            if _concerns_all(stored, gated, gating):
                everywhere.append(stored)
            else:
                for place in {bisect_right(edges, key) for key in _keys(stored)}:
                    here[place].append(stored)
    return everywhere, here


def _concerns_all(stored: Stored, gated: set[str], gating: set[str]) -> bool:
    match stored.collection:
        case "app.bsky.feed.threadgate" | "app.bsky.feed.postgate" | "app.bsky.graph.verification" | "app.bsky.graph.listitem":
            return True
        case "app.bsky.feed.post":
            return stored.uri in gated
        case "app.bsky.graph.follow":
            return stored.did in gating or stored.record["subject"] in gating
        case _:
            return False


def _keys(stored: Stored) -> Iterator[str]:
    """Of whose rows the record decides something, as their keys."""
    yield stored.did
    if stored.collection in (LIKE, REPOST):
        yield stored.record["subject"]["uri"].removeprefix("at://")
    elif stored.collection == POST:
        quoted = quote(stored)
        yield from (uri.removeprefix("at://") for uri in (parent_uri(stored), quoted and quoted.uri) if uri)
