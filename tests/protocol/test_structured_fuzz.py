"""Frames, CARs, records and trees that were sound until something changed them: the same promises as `make fuzz` asks for."""

import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_simulator import tree
from relay_simulator.encoding import cid_of
from testing import search_tree
from testing.frames import encode
from testing.fuzz import corpus, targets, wide
from testing.fuzz.bombs import BOMBS, commit, creations, record
from testing.fuzz.mutations import changed, mutate, parts_of
from unified_indexer.errors import Rejected
from unified_indexer.protocol import mst_node
from unified_indexer.protocol.events import Commit
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.mst import Change, PartialTree, invert
from unified_indexer.protocol.mst_node import layer_of, shared_prefix

LINK = cid_of(b"x")


@cache
def seeds(target: str) -> list[bytes]:
    return list(corpus.seeds(target, list(corpus.simulated(60))))


@pytest.mark.parametrize("target", targets.TARGETS)
def test_what_the_simulator_sends_passes(target: str) -> None:
    outcomes = {targets.TARGETS[target](seed) for seed in seeds(target)}
    expected = {"frame": "Commit 1", "car": "3 blocks", "record": "a record; Commit 1", "tree": "sound sound"}
    expected |= {"proof": "proven proven proven", "repo": "sound"}
    assert expected[target] in outcomes


@pytest.mark.long
@settings(max_examples=1500, deadline=None)
@given(st.integers(0, 2**32))
def test_a_changed_frame_keeps_the_promises(seed: int) -> None:
    rng = Random(seed)
    targets.within_bounds(targets.frame, mutate(rng.choice(seeds("frame")), rng))


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**32))
def test_a_changed_commit_is_proven_or_refused_by_name(seed: int) -> None:
    rng = Random(seed)
    targets.within_bounds(targets.proof, mutate(rng.choice(seeds("proof")), rng))


def test_changes_reach_every_part_of_a_proof() -> None:
    outcomes: set[str] = set()
    for seed in range(600):
        rng = Random(seed)
        outcomes |= set(targets.proof(mutate(rng.choice(seeds("proof")), rng)).split())
    expected = {"proven", "bad_op", "op_not_in_tree", "missing_tree_block", "legacy_commit", "tree_mismatch", "bad_signature"}
    assert expected <= outcomes


@pytest.mark.parametrize("target", ["car", "record", "tree", "repo"])
@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_changed_part_keeps_the_promises(target: str, seed: int) -> None:
    rng = Random(seed)
    data = rng.choice(seeds(target))
    for _ in range(rng.randint(1, 4)):
        data = changed(data, rng)
    targets.within_bounds(targets.TARGETS[target], data)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_the_pieces_of_two_frames_make_no_third_by_accident(seed: int) -> None:
    rng = Random(seed)
    one, other = rng.choice(seeds("frame")), rng.choice(seeds("frame"))
    targets.within_bounds(targets.frame, one[: rng.randint(0, len(one))] + other[rng.randint(0, len(other)) :])


def test_changes_reach_behind_the_hashes() -> None:
    """Of 400 changed frames some are refused for their hash, and some are commits whose records are refused, or taken."""
    outcomes: set[str] = set()
    for seed in range(400):
        rng = Random(seed)
        outcomes.add(targets.frame(mutate(rng.choice(seeds("frame")), rng)))
    told = " ".join(outcomes)
    for word in (
        "Commit 1",
        "block_hash_mismatch",
        "bad_record",
        "missing_block",
        "too_many_ops",
        "record_too_deep",
        "undecodable",
    ):
        assert word in told


def test_changes_reach_behind_a_repo_s_hashes() -> None:
    outcomes: set[str] = set()
    for seed in range(1500):
        rng = Random(seed)
        outcomes.add(targets.repo(changed(rng.choice(seeds("repo")), rng)))
    assert {"sound", "sound, and more", "bad_tree", "missing_block", "block_hash_mismatch", "truncated"} <= outcomes


def test_a_frame_taken_apart_and_put_together_is_the_same() -> None:
    sound = [(seed, parts) for seed in seeds("frame") if (parts := parts_of(seed)) and isinstance(decode(seed), Commit)]
    assert len(sound) > 50
    assert all(parts.whole() == seed for seed, parts in sound if not parts.payload["tooBig"])


@pytest.mark.parametrize(("times", "usable"), [(1, 1), (2, 2), (7, 5), (200, 5)])
def test_ops_may_share_a_block_up_to_64_kb_more_than_there_is(times: int, usable: int) -> None:
    block = record(text="x" * 15_950)  # 16 kB, and 64 kB of room
    event = decode(commit([block], creations(block, count=times)))
    assert isinstance(event, Commit)
    assert (len(event.ops), len(event.refused)) == (usable, times - usable)
    assert {refusal.reason for refusal in event.refused} <= {"repeated_record"}
    assert [refusal.path for refusal in event.refused] == [f"com.example.thing/{n}" for n in range(usable, times)]


def test_blocks_that_are_used_once_are_never_too_much() -> None:
    blocks = [record(n=n, text="x" * 10_000) for n in range(200)]
    event = decode(commit(blocks, [{**op, "path": f"a.b.c/{n}"} for n, block in enumerate(blocks) for op in creations(block)]))
    assert isinstance(event, Commit)
    assert (len(event.ops), event.refused) == (200, ())


def test_deletions_weigh_nothing() -> None:
    block = record(text="x" * 70_000)
    deletions = [{"action": "delete", "path": f"a.b.c/{n}", "cid": None} for n in range(190)]
    event = decode(commit([block], [*creations(block), *deletions]))
    assert isinstance(event, Commit)
    assert len(event.ops) == 191


def test_keys_that_share_their_prefixes_take_no_room() -> None:
    """8,000 keys of 500 kB each can be a block of 0.9 MB: none of them is ever put together."""
    entries = [{"p": 0, "k": b"k" * 500_000, "v": LINK, "t": None}]
    entries += [{"p": 500_000, "k": b"%05d" % n, "v": LINK, "t": None} for n in range(8_000)]
    data = encode([LINK, [[b"k" * 900 + b"z", LINK, None]], [[LINK, encode({"l": None, "e": entries})]]])
    tracemalloc.start()
    assert targets.within_bounds(targets.tree, data) == "op_not_in_tree sound"
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()


def test_one_node_under_many_keys_is_not_read_for_each() -> None:
    """Each op's key claims the same large node as its child. The signature is checked later, so anyone could send this."""
    keys = [key for key in (b"a/%05d" % n for n in range(5_000)) if layer_of(key) == 1][:400]
    below = [{"p": 0, "k": b"z%05d" % n, "v": LINK, "t": None} for n in range(8_000)]
    large = encode({"l": None, "e": below})
    entries: list[Any] = []
    for number, (before, key) in enumerate(pairwise([b"", *keys])):
        shared = shared_prefix(before, key)
        entries.append({"p": shared, "k": key[shared:], "v": LINK, "t": None if number % 2 else cid_of(large)})
    root = encode({"l": None, "e": entries})
    blocks = {cid_of(block): block for block in (root, large)}
    assert len(large) > 4 * 10**5
    start = time.process_time()
    with pytest.raises(Rejected, match="one node in many places"):
        invert(cid_of(root), blocks, [Change(key, LINK, None) for key in keys[::2]])
    assert time.process_time() - start < 2


@pytest.mark.parametrize(("entries", "levels"), [(240, 1), (3_000, 1), (9_000, 1), (9_000, 8)])
@pytest.mark.promise(5)
def test_many_ops_behind_a_wide_node_do_not_pass_all_of_it_each(entries: int, levels: int) -> None:
    """The signature is checked later, so anyone could send this; with 9,000 entries and eight levels it took two seconds."""
    made = wide.behind(entries, levels)
    frame = made.frame()
    outcomes, took = timed(lambda: targets.proof(frame))
    assert outcomes == "bad_tree bad_tree bad_tree"
    assert took < 0.02 + len(frame) * 10**-6  # takes a fifth of that
    for work in (lambda: invert(made.root, made.blocks, made.changes), lambda: found(made)):
        with pytest.raises(Rejected, match="too many entries"):
            work()


@pytest.mark.promise(5)
def test_many_changed_children_are_not_replaced_in_a_large_node_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = wide.beside(2), wide.beside(1_500_000)
    assert invert(small.root, small.blocks, small.changes) == search_tree.invert(small.root, small.blocks, small.changes)
    encoded, took = timed(lambda: invert(large.root, large.blocks, large.changes))
    monkeypatch.setattr(mst_node, "MOST_REPLACED", 2**40)
    replaced, longer = timed(lambda: invert(large.root, large.blocks, large.changes))
    assert replaced == encoded
    assert took < longer / 3  # a tenth


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What comes of it, and the least of three CPU times."""
    times: list[float] = []
    outcome: Any = None
    for _ in range(3):
        start = time.process_time()
        outcome = work()
        times.append(time.process_time() - start)
    return outcome, min(times)


def found(made: wide.Wide) -> None:
    tree = PartialTree(made.root, made.blocks, len(made.changes))
    for change in made.changes:
        tree.find(change.key)


@pytest.mark.parametrize("consecutive", [True, False])
def test_an_honest_commit_of_many_ops_stays_far_from_the_bounds(consecutive: bool) -> None:
    rng = Random(7)
    keys = sorted({b"app.bsky.feed.like/3l%011d" % rng.randrange(10**11) for _ in range(20_000)})
    picked = keys[10_000:10_200] if consecutive else rng.sample(keys, 200)
    left = sorted({*keys} - {*picked})
    for records, changes in (
        (keys, [Change(key, LINK, None) for key in picked]),
        (left, [Change(key, None, LINK) for key in picked]),
    ):
        root = tree.build([(key, LINK) for key in records])
        blocks = {node.cid: node.block for key in picked for node in tree.proof(root, key)}
        partial = PartialTree(root.cid, blocks, len(changes))
        left_over = [bounds(partial)]
        for change in rng.sample(changes, len(changes)):
            partial.undo(change)
            left_over.append(bounds(partial))
        for column in zip(*left_over, strict=True):
            assert min(column) > column[0] / 2


def bounds(partial: PartialTree) -> tuple[int, int]:
    """How many bytes may still be read, and how many entries passed by."""
    return partial._unread, partial._unpassed  # pyright: ignore[reportPrivateUsage]


def test_a_broken_promise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets' own checks: what they are there for makes them fail."""
    monkeypatch.setattr(targets, "SECONDS", 0.001)
    with pytest.raises(AssertionError, match="for 0 bytes: late"):
        targets.within_bounds(lambda data: "late" if sum(range(10**6)) else "", b"")
    with pytest.raises(AssertionError):
        targets.check_text("a\0")
    with pytest.raises(UnicodeEncodeError):
        targets.check_text("\ud800")


def test_bombs_are_large_enough_to_tell() -> None:
    sizes = [len(frame()) for frame in list(BOMBS.values())[:10]]
    assert min(sizes) > 4.9 * 2**20
    assert max(sizes) <= 5 * 2**20
