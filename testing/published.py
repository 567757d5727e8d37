"""A consumer of the stream that PUBLISH fills: that of docs/publishing.md, watched for what comes out of order."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testing.streams import Valkey
from unified_indexer.publishing.entries import stream_key
from unified_indexer.stream.engine import Engine, EngineLost

PAGE = Path(__file__).parents[1] / "docs" / "publishing.md"


def of_page() -> dict[str, Any]:
    """The functions of the page's example."""
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, str(PAGE), "exec"), names)  # noqa: S102
    return names


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
        self.faults: list[str] = []
        self._engine = engine
        self._key = stream_key(host)
        self._after = b"0"
        self._page = of_page()

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

    def _take(self, entry: Mapping[str, str]) -> None:
        did, rev, commit = entry["did"], entry["rev"], entry["kind"] == "commit"
        last = self.revs.get(did, "")
        if rev < last or (commit and rev == last):
            self.repeated += 1
            if commit and (did, rev) not in self.told:
                self.faults.append(f"{did}: {rev} came for the first time after {last}")
        if commit:
            self.told.add((did, rev))
        self._page["take"](entry, self.live, self.revs, None)


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
