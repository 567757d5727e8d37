"""What accounts had written before the stream: real records under a tree, shared by accounts so that many cost little.

A tree and its records do not say whose they are, so account n has the history n modulo the number of histories.
"""

from functools import lru_cache
from hashlib import sha256
from math import exp
from random import Random
from statistics import NormalDist
from typing import NamedTuple

from relay_simulator import graph, keys, records, tree
from relay_simulator.encoding import CID_DAG_CBOR, cid_of, cid_text, encode, tid, time_text
from relay_simulator.graph import BLOCK
from relay_simulator.records import FOLLOW, LIKE, POST, REPOST, Known, Record, Ref

HISTORIES = 16  # different ones
VARIED = 256  # different ones where their lengths differ
HISTORY_ENDS = 86_400 * 1_000_000  # µs before the stream: a day, so that no key of the stream comes before it
HISTORY_BEGINS = 2 * 365 * HISTORY_ENDS
SHARES = {LIKE: 57, FOLLOW: 18, POST: 13, REPOST: 9, BLOCK: 3}
"""Of a hundred records of whole repositories, as a dozen real ones had them."""
HOT = 2.5  # how steeply attention falls off from the first accounts to the last


class History(NamedTuple):
    """`paths` in key order; `blocks` are the records' by CID."""

    paths: tuple[str, ...]
    root: tree.Node
    blocks: dict[bytes, bytes]


class Past:
    """The histories of these accounts; `start` is the stream's first instant in µs since 1970.

    `length` is the mean of their records, `spread` how far they differ: the sigma of a log-normal distribution, 0 for equal
    lengths. The first accounts have the longest, as those of the network have.
    """

    def __init__(self, seed: int, start: int, length: int, spread: float, accounts: int, web_ports: tuple[int, ...]) -> None:
        self._seed = seed
        self._start = start
        self._accounts = accounts
        self._web_ports = web_ports
        self._lengths = _lengths(length, spread, min(VARIED if spread else HISTORIES, accounts))
        self._paths: dict[int, tuple[str, ...]] = {}
        self._posts: dict[int, tuple[str, ...]] = {}
        self._histories: dict[int, History] = {}
        self._dids: dict[int, str] = {}
        self._refs: dict[str, Ref] = {}

    def history(self, account: int) -> History:
        """What the account with this number had written."""
        number = account % len(self._lengths)
        if number not in self._histories:
            self._histories[number] = self._made(number)
        return self._histories[number]

    def rev(self, account: int) -> str | None:
        """At which its repository stood; None where it had written nothing."""
        if not self._lengths[account % len(self._lengths)]:
            return None
        return tid(self._start - HISTORY_ENDS, account % 1024)

    def _paths_of(self, number: int) -> tuple[str, ...]:
        if number not in self._paths:
            rng = Random(f"history {self._seed} {number}")
            collections = rng.choices(list(SHARES), list(SHARES.values()), k=self._lengths[number])
            instants = (self._start - rng.randrange(HISTORY_ENDS, HISTORY_BEGINS) for _ in collections)
            paths = {f"{name}/{tid(at, rng.randrange(1024))}" for name, at in zip(collections, instants, strict=True)}
            self._paths[number] = tuple(sorted(paths))
            self._posts[number] = tuple(path for path in self._paths[number] if path.startswith(f"{POST}/"))
        return self._paths[number]

    def _made(self, number: int) -> History:
        rng = Random(f"records {self._seed} {number}")
        paths = self._paths_of(number)
        blocks: dict[bytes, bytes] = {}
        entries: list[tuple[bytes, bytes]] = []
        for path in paths:
            block = encode(self._record(rng, path))
            cid = cid_of(block)
            blocks[cid] = block
            entries.append((path.encode(), cid))
        return History(paths, tree.build(entries), blocks)

    def _record(self, rng: Random, path: str) -> Record:
        collection, _, rkey = path.partition("/")
        created = time_text(micros_of(rkey))
        match collection:
            case "app.bsky.feed.like":
                return records.like(created, self._post(rng))
            case "app.bsky.feed.repost":
                return records.repost(created, self._post(rng))
            case "app.bsky.graph.follow":
                return records.follow(created, self._did(rng))
            case "app.bsky.graph.block":
                return graph.block(created, self._did(rng))
            case _:
                answered = self._post(rng) if rng.random() < 0.45 else None
                quoted = self._post(rng) if rng.random() < 0.06 else None
                parent = Known(answered, answered, "") if answered is not None else None
                return records.post(rng, created, parent, quoted, self._did(rng))

    def _any(self, rng: Random) -> int:
        return int(self._accounts * rng.random() ** HOT)

    def _did(self, rng: Random) -> str:
        return self._did_of(self._any(rng))

    def _did_of(self, account: int) -> str:
        if account not in self._dids:
            self._dids[account] = keys.did(self._seed, account, self._web_ports)
        return self._dids[account]

    def _post(self, rng: Random) -> Ref:
        """A post of somebody's past, mostly of the first accounts. The CID is made up: those of two posts that answer one
        another's authors can't both be known first.
        """
        account = self._any(rng)
        number = account % len(self._lengths)
        self._paths_of(number)
        posts = self._posts[number]
        path = posts[int(len(posts) * rng.random() ** HOT)] if posts else f"{POST}/{tid(self._start - HISTORY_ENDS, 0)}"
        uri = f"at://{self._did_of(account)}/{path}"
        if uri not in self._refs:
            self._refs[uri] = Ref(uri, cid_text(CID_DAG_CBOR + sha256(uri.encode()).digest()))
        return self._refs[uri]


@lru_cache(maxsize=4)
def past(seed: int, start: int, length: int, spread: float, accounts: int, web_ports: tuple[int, ...]) -> Past:
    """The past of a network, made once for all who look at it."""
    return Past(seed, start, length, spread, accounts, web_ports)


def micros_of(key: str) -> int:
    """The instant of a TID, in µs since 1970."""
    number = 0
    for digit in key:
        number = number << 5 | "234567abcdefghijklmnopqrstuvwxyz".index(digit)
    return number >> 10


def _lengths(mean: int, spread: float, count: int) -> list[int]:
    """How many records each history has, the longest first."""
    normal = NormalDist()
    scores = (normal.inv_cdf(1 - (place + 0.5) / count) for place in range(count))
    return [round(mean * exp(spread * score - spread**2 / 2)) for score in scores]
