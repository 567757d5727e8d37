"""What it costs to read a whole repo and to prove it, in µs of CPU a record, and in memory: `python -m benchmarks.whole_repo`.

The repo is one of likes, as most of the network's records are, its blocks newest first, as a PDS sends them, or shuffled. A
process of its own makes it, so that its memory is not counted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

from relay_simulator import keys, tree
from relay_simulator.encoding import car, car_section, cid_of, encode, signed_commit, tid, unsigned_commit
from testing.fuzz.measure import peak
from testing.signed import SEED, START
from testing.whole_repos import NOW, OWNER, TemporaryFile
from unified_indexer.protocol.car import split
from unified_indexer.protocol.repo import RepoReader

PIECE = 2**16  # bytes, about what a connection gives at once
SMALL = 100_000_000  # bytes of a CAR that is also split the plain way, whole in memory


class Cost(NamedTuple):
    """µs of CPU a record."""

    feed: float
    proof: float
    slices: float


def main() -> None:
    """Makes, measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_repo")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--shuffled", action="store_true", help="the blocks in no order")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make, options.records, shuffled=options.shuffled)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "repo.car"
        command = [sys.executable, "-m", "benchmarks.whole_repo", "--records", str(options.records), "--make", str(path)]
        subprocess.run([*command, *(["--shuffled"] if options.shuffled else [])], check=True)
        before = peak()
        costs = [measured(path, options.records) for _ in range(options.repetitions)]
        found = {
            "records": options.records,
            "car_bytes": path.stat().st_size,
            "feed": median(cost.feed for cost in costs),
            "proof": median(cost.proof for cost in costs),
            "slices": median(cost.slices for cost in costs),
            "peak_bytes": peak() - before,
        }
        if path.stat().st_size < SMALL:
            found["split"] = plainly(path, options.records)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{options.records:,} records, {found['car_bytes'] / 1e6:.1f} MB, {found['peak_bytes'] / 1e6:.0f} MB of memory")
    for name in ("feed", "proof", "slices", "split"):
        if name in found:
            print(f"{name:8} {found[name]:6.2f} µs a record")


def measured(path: Path, records: int) -> Cost:
    """One reading of the file."""
    reader = RepoReader(OWNER.did, TemporaryFile, NOW)
    times = [time.thread_time()]
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            reader.feed(piece)
    times.append(time.thread_time())
    with reader.finish(OWNER.key) as repo:
        times.append(time.thread_time())
        assert sum(map(len, repo.slices())) == repo.records == records
        times.append(time.thread_time())
    return Cost(*(1e6 * (after - before) / records for before, after in pairwise(times)))


def plainly(path: Path, records: int) -> float:
    """The blocks of the whole file by CID, hashes checked, nothing else: what a commit's CAR takes."""
    data = path.read_bytes()
    start = time.thread_time()
    split(data)
    return 1e6 * (time.thread_time() - start) / records


def make(path: Path, records: int, *, shuffled: bool) -> None:
    """Writes the CAR of a repo with so many likes, of 340 bytes each with their share of the tree."""
    clock = 3
    entries: list[tuple[bytes, bytes]] = []
    with path.with_suffix(".blocks").open("w+b") as blocks:
        for number in range(records):
            block = like(number)
            micros = START - (records - number) * 977_000
            entries.append((f"app.bsky.feed.like/{tid(micros, clock)}".encode(), cid_of(block)))
            blocks.write(car_section(entries[-1][1], block))
        root = tree.build(entries)
        rev = tid(START, clock)
        signature = keys.signer(SEED, OWNER.number).sign(unsigned_commit(OWNER.did, rev, root.cid))
        commit = signed_commit(OWNER.did, rev, root.cid, signature)
        with path.open("wb") as file:
            file.write(car(cid_of(commit), [car_section(cid_of(commit), commit)]))
            order = list(range(records))
            if shuffled:
                Random(1).shuffle(order)
            else:
                order.reverse()
            size = len(car_section(entries[0][1], like(0)))
            nodes = below(root)
            for number in order:
                if number % 4 == 0 and (node := next(nodes, None)):
                    file.write(node)
                blocks.seek(number * size)
                file.write(blocks.read(size))
            file.writelines(nodes)
    blocks_path = path.with_suffix(".blocks")
    blocks_path.unlink()


def like(number: int) -> bytes:
    """A like's block; all are of one length."""
    subject = {"uri": f"at://did:plc:{number:024d}/app.bsky.feed.post/3{number:012d}", "cid": f"bafyrei{number:052d}"}
    created = datetime.fromtimestamp(START / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return encode({"$type": "app.bsky.feed.like", "subject": dict(subject), "createdAt": created})


def below(node: tree.Node) -> Iterator[bytes]:
    """The sections of a node and of all under it."""
    yield car_section(node.cid, node.block)
    for child in node.children:
        if child is not None:
            yield from below(child)


if __name__ == "__main__":
    main()
