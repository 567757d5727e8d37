"""A consumer of the stream that PUBLISH fills, as docs/publishing.md has it, and what it must have seen."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from testing.streams import Valkey
from unified_indexer.publishing.entries import stream_key
from unified_indexer.stream.engine import Engine, EngineLost


class Consumer:
    """Follows the stream: `live` has the URIs of each account's records, `revs` the rev of each repo.

    `faults`: where something of a repo came before what it follows on: the first entry of each rev must be in order.
    """

    def __init__(self, engine: Valkey, host: str) -> None:
        self.live: dict[str, set[str]] = {}
        self.revs: dict[str, str] = {}
        self.entries = 0
        self.repeated = 0
        self.told: set[tuple[str, str]] = set()  # DID and rev of each commit
        self.repaired: set[str] = set()
        self.faults: list[str] = []
        self._engine = engine
        self._key = stream_key(host)
        self._after = b"0"

    @property
    def uris(self) -> set[str]:
        return {uri for uris in self.live.values() for uri in uris}

    async def read(self) -> int:
        """Take in what is there; return how many entries there were."""
        try:
            engine = await Engine.open(self._engine.address())
        except EngineLost:
            return 0
        taken = 0
        try:
            while True:
                (streams,) = await engine.ask(("XREAD", "COUNT", 1_000, "STREAMS", self._key, self._after))
                if not streams:
                    return taken
                for self._after, flat in streams[0][1]:
                    self._take({name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)})
                    taken += 1
        except EngineLost:
            return taken
        finally:
            self.entries += taken
            engine.close()

    def lost(self) -> None:
        """The server was emptied: what it has is read from its beginning."""
        self._after = b"0"

    def _take(self, entry: Mapping[str, Any]) -> None:
        did, rev, kind = entry["did"], entry["rev"], entry["kind"]
        last = self.revs.get(did, "")
        if kind == "repaired":
            self.repaired.add(did)
            return
        if rev < last or (kind == "commit" and rev == last):
            self.repeated += 1
            if kind == "commit" and (did, rev) not in self.told:
                self.faults.append(f"{did}: {rev} came for the first time after {last}")
            return
        self.revs[did] = rev
        mine = self.live.setdefault(did, set())
        if kind == "account":
            if entry["status"] == "deleted":
                mine.clear()
            return
        if kind == "commit":
            self.told.add((did, rev))
        for op in orjson.loads(entry["ops"]):
            (mine.add if op["action"] == "put" else mine.discard)(op["uri"])


async def following(consumer: Consumer, expected: set[str], seconds: float = 30) -> None:
    """Read until the consumer has exactly these URIs, or fail with what is different."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        await consumer.read()
        if consumer.uris == expected:
            return
        assert asyncio.get_running_loop().time() < deadline, (
            f"missing {sorted(expected - consumer.uris)[:5]}, too many {sorted(consumer.uris - expected)[:5]}"
        )
        await asyncio.sleep(0.05)
