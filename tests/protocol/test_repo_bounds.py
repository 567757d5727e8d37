"""Whole repos that are made to cost much: memory, time and files are bounded, whatever is sent."""

import json
import subprocess
import sys
import time
import tracemalloc
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from testing import search_tree
from testing.frames import cid_of, encode, section
from testing.whole_repos import NOW, OWNER, Made, TemporaryFile, made, read
from unified_indexer.protocol import block_places, repo, repo_records, repo_tree
from unified_indexer.protocol.mst_node import layer_of
from unified_indexer.protocol.repo import RepoReader
from unified_indexer.protocol.repo_failures import RepoError, RepoFailure

ROOT = Path(__file__).parents[2]
KEYS = [f"app.bsky.feed.like/3k{n:05d}".encode() for n in range(400)]
RECORDS = {key: encode({"$type": "app.bsky.feed.like", "n": key.decode()}) for key in KEYS}
RECORD = RECORDS[KEYS[0]]


def failure_of(data: bytes, pieces: int = 65_536) -> RepoFailure:
    with pytest.raises(RepoError) as caught:
        read(data, pieces=pieces)
    assert TemporaryFile.open_files == 0
    return caught.value.failure


def test_an_endless_car_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repo, "MAX_BYTES", 1_000_000)
    reader = RepoReader(OWNER.did, TemporaryFile, NOW)
    reader.feed(made(RECORDS).car())

    def feed_without_end() -> None:
        for n in count():
            block = encode({"n": n})
            reader.feed(section(cid_of(block), block))

    with pytest.raises(RepoError) as caught:
        feed_without_end()
    assert caught.value.failure is RepoFailure.TOO_LARGE
    assert reader.size < 1_000_200
    reader.close()


def test_too_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repo_tree, "_CHUNK", 10)
    for most in (399, 400):
        monkeypatch.setattr(repo_tree, "MAX_RECORDS", most)
        if most < len(KEYS):
            assert failure_of(made(RECORDS).car()) is RepoFailure.TOO_MANY_RECORDS
        else:
            read(made(RECORDS).car()).close()


def test_keys_that_are_no_paths_count_as_records_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repo_tree, "MAX_RECORDS", 399)
    assert failure_of(made({b"no path %d" % n: RECORD for n in range(400)}).car()) is RepoFailure.TOO_MANY_RECORDS


def test_too_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_places, "_FEW", 16)
    monkeypatch.setattr(block_places, "MAX_BLOCKS", 100)
    assert failure_of(made(RECORDS).car(), pieces=1000) is RepoFailure.TOO_MANY_BLOCKS


def test_one_block_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would all lie in one bucket, and to sort that would take long."""
    monkeypatch.setattr(block_places, "_FEW", 16)
    monkeypatch.setattr(block_places, "_MOST_IN_A_BUCKET", 100)
    whole = made(RECORDS)
    again = [(cid_of(RECORD), RECORD)]
    read(whole.car(whole.blocks() + again * 90)).close()
    assert failure_of(whole.car(whole.blocks() + again * 110)) is RepoFailure.TOO_MANY_BLOCKS


def test_many_keys_for_one_large_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CAR of 1 MB could stand for rows of 10 GB."""
    large = encode({"$type": "com.example.a", "text": "x" * 10_000})
    data = made(dict.fromkeys(KEYS, large)).car()
    assert len(data) < 100_000
    monkeypatch.setattr(repo_tree, "MAX_REPEATED_BYTES", 10_036 * len(KEYS))
    read(data).close()
    monkeypatch.setattr(repo_tree, "MAX_REPEATED_BYTES", 10_036 * (len(KEYS) - 20))
    assert failure_of(data) is RepoFailure.TOO_LARGE


def test_long_keys_that_share_their_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten million of them, of 400 bytes each, fit into a CAR of 2 GiB."""
    data = made({b"com.example.a/" + b"k" * 400 + key[-5:]: RECORD for key in KEYS}).car()
    monkeypatch.setattr(repo_records, "MAX_PATHS_BYTES", 419 * 400 + 400)
    read(data).close()
    monkeypatch.setattr(repo_records, "MAX_PATHS_BYTES", 419 * 400 - 1)
    assert failure_of(data) is RepoFailure.TOO_LARGE


def entries_of(keys: list[bytes], shared: int) -> list[dict[str, Any]]:
    return [
        {"p": shared if n else 0, "k": key[shared if n else 0 :], "v": cid_of(RECORD), "t": None} for n, key in enumerate(keys)
    ]


def test_keys_of_500_kb_are_never_put_together() -> None:
    """8,000 of them make a node of 0.9 MB."""
    keys = sorted(key for key in (b"k" * 500_000 + b"%05d" % n for n in range(5)) if layer_of(key) == 0)
    entries = entries_of([keys[0]], 0) + [
        {"p": 500_000, "k": b"%05d" % n, "v": cid_of(RECORD), "t": None} for n in range(8_000)
    ]
    node = encode({"l": None, "e": entries})
    data = made({KEYS[0]: RECORD}, tree=(cid_of(node), {cid_of(node): node})).car()
    assert len(data) > 800_000
    tracemalloc.start()
    start = time.process_time()
    assert failure_of(data) is RepoFailure.BAD_TREE
    assert time.process_time() - start < 2
    assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    tracemalloc.stop()


def test_a_node_of_many_keys_takes_several_steps() -> None:
    """Keys can be chosen so that thousands lie in one node."""
    keys = [key for key in (b"com.example.a/%06d" % n for n in range(12_000)) if layer_of(key) == 0]
    whole = made(dict.fromkeys(keys, RECORD))
    assert len(whole.nodes) == 1
    reader = RepoReader(OWNER.did, TemporaryFile, NOW)
    reader.feed(whole.car())
    assert sum(1 for _ in reader.prove(OWNER.key)) > len(keys) // 600
    reader.close()


def test_a_node_that_claims_more_than_it_has() -> None:
    block = b"\xa2\x61e\x9b" + b"\xff" * 8 + bytes(100) + b"\x61l\xf6"
    data = Made({}, b"", {cid_of(block): block}, OWNER.commit(cid_of(block))).car()
    assert failure_of(data) is RepoFailure.BAD_TREE


def test_a_block_is_not_copied_for_each_of_its_bytes() -> None:
    """One of 1 MB comes byte by byte."""
    large = encode({"$type": "com.example.a", "text": "x" * 1_000_000})
    start = time.process_time()
    read(made({b"com.example.a/large": large}).car(), pieces=1).close()
    assert time.process_time() - start < 10


def test_a_deep_tree_is_no_deep_recursion(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers of a hash's 256 bits: nobody has found a key of the highest, so the test says that this one is."""
    layers = {KEYS[1]: 128, KEYS[0]: 0, KEYS[2]: 0}

    def layer(key: bytes) -> int:
        return layers[key]

    low = [key for key in KEYS if layer_of(key) == 0]
    layers = {low[0]: 0, low[1]: 128, low[2]: 0}
    records = dict.fromkeys(layers, RECORD)
    monkeypatch.setattr(repo_tree, "layer_of", layer)
    whole = made(records, tree=search_tree.build({key: cid_of(RECORD) for key in records}, layer=layer))
    assert len(whole.nodes) == 1 + 2 * 128
    with read(whole.car()) as found:
        assert found.records == 3


@pytest.mark.long
def test_memory_stays_bounded_for_a_large_repo() -> None:
    """34 MB in a process of its own, which takes the spools in memory and the places of the blocks."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.whole_repo", "--records", "100000", "--repetitions", "1", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    ).stdout
    measured = json.loads(told)
    assert measured["car_bytes"] > 33 * 10**6
    assert measured["peak_bytes"] < 33 * 10**6
