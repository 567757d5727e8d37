"""Whole repos: what is sound comes out as it was, in the order of its URIs, however it is sent."""

from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from typing import get_args

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_simulator import tree
from relay_simulator.archive import BlockOrder, Snapshot
from relay_simulator.encoding import car, car_section, cid_of, cid_text, encode
from relay_simulator.past import past
from relay_simulator.repository import written
from testing.frames import needs_recorded, recorded
from testing.signed import P256, SEED, START, SignedRepo
from testing.whole_repos import NOW, OWNER, REV, Account, TemporaryFile, made, read
from unified_indexer.protocol import block_places, repo_records, repo_tree, spool
from unified_indexer.protocol.mst_node import layer_of
from unified_indexer.protocol.repo import Repo, RepoReader
from unified_indexer.protocol.repo_failures import RepoError, RepoFailure

LIKES = [f"app.bsky.feed.like/3k{n:05d}".encode() for n in range(300)]
OTHERS = [f"{name}/{n}".encode() for name in ("app.bsky.graph.follow", "com.example.a", "com.example.a-b.c") for n in range(60)]
KEYS = sorted([*LIKES, *OTHERS])
HIGH = sorted(KEYS, key=layer_of)[-12:]


def block_of(key: bytes) -> bytes:
    return encode({"$type": key.decode().partition("/")[0], "n": key.decode(), "text": "x" * (key[-1] % 50)})


def records_of(keys: list[bytes]) -> dict[bytes, bytes]:
    return {key: block_of(key) for key in keys}


def everything(repo: Repo, size: int = 500) -> dict[bytes, bytes]:
    """Its records, path -> block; order and CIDs are looked at."""
    found = [record for records in repo.slices(size) for record in records]
    assert all(before.path < after.path for before, after in pairwise(found))
    assert all(record.cid == cid_of(record.block) for record in found)
    assert len(found) == repo.records
    return {record.path.encode(): record.block for record in found}


def test_a_repo_comes_out_as_it_was() -> None:
    records = records_of(KEYS)
    whole = made(records)
    with read(whole.car()) as repo:
        assert (repo.did, repo.rev, repo.data) == (OWNER.did, REV, whole.root)
        assert (repo.records, repo.left_out, repo.size, repo.signed) == (len(KEYS), 0, len(whole.car()), True)
        assert everything(repo) == records
        assert everything(repo) == records, "it can be read again"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(KEYS) | st.sampled_from(HIGH), unique=True), st.integers(0, 2**32), st.integers(1, 3000))
def test_any_tree_in_any_order_and_in_any_pieces(keys: list[bytes], seed: int, pieces: int) -> None:
    records, rng = records_of(keys), Random(seed)
    whole = made(records)
    blocks = whole.blocks() * rng.choice((1, 1, 2))
    rng.shuffle(blocks)
    root = tree.build(sorted((key, cid_of(block)) for key, block in records.items()))
    assert root.cid == whole.root, "the simulator's tree is the same"
    with read(whole.car(blocks), pieces=pieces) as repo:
        assert everything(repo, rng.randint(1, 20)) == records


@pytest.mark.parametrize("pieces", [1, 2, 7, 100, 10**6])
def test_pieces_of_any_size(pieces: int) -> None:
    large = encode({"$type": "com.example.a", "text": "x" * 40_000})  # its length takes a varint of three bytes
    records = records_of(KEYS[:40]) | {b"com.example.a/large": large}
    with read(made(records).car(), pieces=pieces) as repo:
        assert everything(repo) == records


def test_an_empty_repo() -> None:
    with read(made({}).car()) as repo:
        assert (repo.records, list(repo.slices())) == (0, [])


def test_blocks_of_no_use_change_nothing() -> None:
    """A blob, a record of before, and the same blocks again."""
    records = records_of(KEYS[:20])
    whole = made(records)
    raw = b"\x01\x55\x12\x20" + cid_of(b"blob")[4:]
    blocks = [(raw, b"blob"), *whole.blocks(), (cid_of(block_of(KEYS[99])), block_of(KEYS[99])), *whole.blocks()]
    with read(whole.car(blocks)) as repo:
        assert everything(repo) == records


def test_one_block_under_many_keys() -> None:
    records = dict.fromkeys(KEYS, block_of(KEYS[0]))
    whole = made(records)
    assert len(whole.blocks()) == len(whole.nodes) + 2
    with read(whole.car()) as repo:
        assert everything(repo) == records


def test_the_commit_is_known_before_the_rest() -> None:
    whole = made(records_of(KEYS))
    reader = RepoReader(OWNER.did, TemporaryFile, NOW)
    data = whole.car()
    reader.feed(data[:59])
    assert reader.head is None
    reader.feed(data[59:400])
    assert reader.head is not None
    assert reader.head == (OWNER.did, REV, whole.root)
    reader.close()


def test_what_is_no_path_is_left_out_and_counted() -> None:
    sound = records_of([*KEYS[:50], b"com.example.a/" + b"k" * 512])
    odd = [b"app.bsky.feed.like/..", b"app.bsky.feed.like/.", b"app.bsky.feed.like/a b", b"app.bsky.feed.like/", b"like/a"]
    odd += [b"app.bsky.feed.like/a\n", b"app.bsky.feed.like/a/b", b"\xff/\xfe", b"app.bsky.feed.9/a", b"a" * 1024]
    odd.append(max(sound, key=len))  # a path, but its URI is longer than the tables take
    with read(made(sound | dict.fromkeys(odd, block_of(KEYS[0]))).car()) as repo:
        del sound[odd[-1]]
        assert everything(repo) == sound
        assert repo.left_out == len(odd)


def test_the_longest_uri_that_the_tables_take() -> None:
    longest = b"com.example.a/" + b"k" * (512 - len(f"at://{OWNER.did}/com.example.a/"))
    with read(made({longest: block_of(KEYS[0])}).car()) as repo:
        assert list(everything(repo)) == [longest]
    with read(made({longest + b"k": block_of(KEYS[0])}).car()) as repo:
        assert repo.left_out == 1


@pytest.mark.parametrize("number", [0, 15])
def test_either_curve_signs(number: int) -> None:
    """And a repo whose key is not known is read all the same, and says so."""
    account = Account(number)
    whole = made(records_of(KEYS[:9]), account=account)
    for key in (account.key, None):
        reader = RepoReader(account.did, TemporaryFile, NOW)
        reader.feed(whole.car())
        with reader.finish(key) as repo:
            assert repo.signed == (key is not None)
            assert repo.records == 9


def test_beyond_some_mib_it_goes_to_a_file_and_the_file_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 5_000)
    records = records_of(KEYS)
    reader = RepoReader(OWNER.did, TemporaryFile, NOW)
    data = made(records).shuffled(Random(1))
    most = 0
    for at in range(0, len(data), 100):
        reader.feed(data[at : at + 100])
        most = max(most, reader.in_memory)
    assert TemporaryFile.open_files == 1
    assert 4_000 < most < 5_300
    with reader.finish(OWNER.key) as repo:
        assert TemporaryFile.open_files == 2, "the CAR, and the list of records"
        assert everything(repo, 7) == records
    assert TemporaryFile.open_files == 0


def test_a_reader_that_is_given_up_frees_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 5_000)
    reader = RepoReader(OWNER.did, TemporaryFile, NOW)
    reader.feed(made(records_of(KEYS)).car())
    assert TemporaryFile.open_files == 1
    reader.close()
    assert TemporaryFile.open_files == 0


def test_a_slice_is_bounded_by_its_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repo_records, "MOST_SLICE_BYTES", 1_000)
    with read(made(records_of(KEYS)).car()) as repo:
        sizes = [sum(len(record.block) for record in records) for records in repo.slices()]
    assert max(sizes) < 1_000 + len(max(map(block_of, KEYS), key=len))
    assert len(sizes) > 20


@pytest.mark.parametrize(("few", "step", "pieces"), [(2**18, 2**12, 10**6), (16, 2**12, 999), (300, 7, 999), (300, 7, 10**6)])
def test_many_blocks_and_few_are_found_alike(monkeypatch: pytest.MonkeyPatch, few: int, step: int, pieces: int) -> None:
    monkeypatch.setattr(block_places, "_FEW", few)
    monkeypatch.setattr(block_places, "_STEP", step)
    records = records_of(KEYS)
    with read(made(records).shuffled(Random(2)), pieces=pieces) as repo:
        assert everything(repo) == records


def test_steps_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step looks at so many keys, so that others have their turn."""
    monkeypatch.setattr(repo_tree, "_CHUNK", 10)
    reader = RepoReader(OWNER.did, TemporaryFile, NOW)
    reader.feed(made(records_of(KEYS)).car())
    assert sum(1 for _ in reader.prove(OWNER.key)) >= len(KEYS) // 10
    with reader.repo() as repo:
        assert everything(repo) == records_of(KEYS)


def test_blocks_whose_hashes_are_the_same_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """By chance some are, among many."""
    monkeypatch.setattr(block_places, "_HASH_MASK", 7)
    records = records_of(KEYS)
    with read(made(records).shuffled(Random(3))) as repo:
        assert everything(repo) == records


@pytest.mark.parametrize("order", get_args(BlockOrder))
def test_a_repo_of_the_simulator(order: BlockOrder) -> None:
    """An account's repo after some commits, built by the simulator's own code."""
    simulated = SignedRepo()
    simulated.commit(written("create", "app.bsky.feed.like", "3kaaaaaaaaaaa", {"$type": "app.bsky.feed.like"}))
    root = simulated.account.root
    assert root is not None
    history = past(SEED, START, 60, 0.0, P256 + 1, ()).history(0)
    blocks = {cid_of(block): block for block in (encode({"$type": "app.bsky.feed.like"}), *history.blocks.values())}
    commit = simulated.commit_block(REV, root.cid)
    snapshot = Snapshot(simulated.did, REV, commit, root, {}, blocks)
    reader = RepoReader(simulated.did, TemporaryFile, NOW)
    reader.feed(car(cid_of(commit), [car_section(*block) for block in snapshot.blocks(order)]))
    with reader.finish(simulated.key) as repo:
        truth = {f"{op.collection}/{op.rkey}": op.cid for op in snapshot.truth().records}
        assert {path.decode(): cid_text(cid_of(block)) for path, block in everything(repo).items()} == truth


@needs_recorded
def test_the_trees_of_recorded_commits_fail_for_what_they_lack_and_nothing_else() -> None:
    """A commit's CAR holds part of a tree: real nodes, as far as they reach, are as the rules say."""
    for frame in recorded("real_frames/frames.bin"):
        fields = libipld.decode_dag_cbor_multi(frame)[1]
        reader = RepoReader(fields["repo"], TemporaryFile, datetime(2026, 8, 1, tzinfo=UTC))
        reader.feed(fields["blocks"])
        with pytest.raises(RepoError) as caught:
            reader.finish(None)
        assert caught.value.failure is RepoFailure.MISSING_BLOCK
