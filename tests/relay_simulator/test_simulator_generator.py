"""The stream as a whole: equal by its seed, paced, numbered, mixed like the live network, and as awkward as it says."""

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from relay_simulator.encoding import time_text
from relay_simulator.frames_file import FrameLog, read_frames, write_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import AccountTruth, CommitTruth, Sent, SyncTruth

PROJECT = Path(__file__).parents[2]


def stream(settings: Settings, events: int) -> list[Sent]:
    return list(Generator(settings).stream(events))


def commits(sent: list[Sent]) -> list[CommitTruth]:
    return [one.truth for one in sent if isinstance(one.truth, CommitTruth)]


@pytest.mark.parametrize("cheap", [True, False])
@pytest.mark.parametrize("mix", [Mix.realistic(), Mix.awkward()])
def test_equal_settings_give_equal_streams(cheap: bool, mix: Mix) -> None:
    settings = Settings(seed=7, accounts=50, history=40, cheap=cheap, mix=mix)
    assert stream(settings, 400) == stream(settings, 400)
    assert stream(settings, 400) != stream(Settings(seed=8, accounts=50, history=40, cheap=cheap, mix=mix), 400)


@pytest.mark.long
def test_equal_in_another_process_with_other_hashes(tmp_path: Path) -> None:
    digests: set[str] = set()
    for hash_seed in ("1", "2"):
        out = tmp_path / hash_seed
        options = ["--accounts", "9", "--commits", "60", "--awkward", "--write", str(out)]
        command = [sys.executable, "-m", "relay_simulator", *options]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, env=environment)
        digests.add(sha256(out.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_stream_goes_on_where_it_was() -> None:
    whole, parts = Generator(Settings(cheap=True)), Generator(Settings(cheap=True))
    assert list(whole.stream(200)) == [*parts.stream(120), *parts.stream(80)]


def test_seqs_and_times_and_revs_advance() -> None:
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    sent = stream(Settings(cheap=True, accounts=30, per_second=100, start=start, first_seq=5_000), 1_000)
    seqs = [one.truth.seq for one in sent]
    steps = Counter(after - before for before, after in pairwise(seqs))
    assert seqs[0] in range(5_000, 5_006)
    assert min(steps) == 1
    assert steps[1] > 900
    assert len(steps) > 1, "gaps are natural"
    for number, one in enumerate(sent):
        assert one.truth.time == time_text(int(start.timestamp() * 1_000_000) + number * 10_000)
    revs: dict[str, str] = {}
    for commit in commits(sent):
        assert commit.since == revs.get(commit.did)
        assert commit.rev > (commit.since or "")
        revs[commit.did] = commit.rev
    assert len(revs) == 30


@pytest.mark.long
def test_the_realistic_mix_is_the_live_networks() -> None:
    sent = stream(Settings(cheap=True, accounts=20_000), 10_000)
    found = commits(sent)
    assert 0.99 < len(found) / len(sent) < 1
    created = Counter(op.collection.rsplit(".")[-1] for commit in found for op in commit.ops if op.action == "create")
    whole = created.total()
    for name, share in {"like": 0.66, "repost": 0.12, "post": 0.10, "follow": 0.08, "profile": 0.006}.items():
        assert created[name] / whole == pytest.approx(share, rel=0.35), name
    assert 0.004 < sum(len(commit.ops) > 1 for commit in found) / len(found) < 0.011
    assert 0.005 < sum(op.action == "delete" for commit in found for op in commit.ops) / len(found) < 0.04
    assert len({commit.did for commit in found}) > 0.7 * len(found), "nearly every commit is another account's"
    assert {"app.bsky.graph.block", "fm.teal.alpha.feed.play"} <= {op.collection for commit in found for op in commit.ops}


@pytest.mark.long
@pytest.mark.parametrize("cheap", [True, False])
def test_frames_have_a_real_size(cheap: bool) -> None:
    sizes = [len(one.frame) for one in stream(Settings(cheap=cheap, accounts=200), 600)]
    assert 4_000 < sum(sizes) / len(sizes) < 6_000
    assert max(sizes) > 1.3 * min(sizes)


def test_padding_can_be_left_out() -> None:
    sent = stream(Settings(cheap=True, padding=0), 300)
    assert sum(len(one.frame) for one in sent) / len(sent) < 1_500


def test_posts_come_in_all_their_forms() -> None:
    found = [op.record for commit in commits(stream(Settings(cheap=True, mix=Mix(post=10_000)), 800)) for op in commit.ops]
    posts = [record for record in found if isinstance(record, dict) and record["$type"] == "app.bsky.feed.post"]
    fields = {field for post in posts for field in post}
    embeds = {str(post["embed"]["$type"]) for post in posts if isinstance(post.get("embed"), dict)}  # type: ignore[index,call-overload]
    assert {"text", "langs", "facets", "tags", "reply", "embed", "labels"} <= fields
    assert embeds == {f"app.bsky.embed.{kind}" for kind in ("images", "external", "record", "recordWithMedia")}


def test_facets_mark_the_bytes_that_they_are_about() -> None:
    for commit in commits(stream(Settings(cheap=True, mix=Mix(post=10_000)), 300)):
        for op in commit.ops:
            match op.record:
                case {"text": str(text), "facets": list(facets)}:
                    for facet in facets:
                        match facet:
                            case {"index": {"byteStart": int(start), "byteEnd": int(end)}}:
                                assert text.encode()[start:end].decode()[0] in "#@exnvb"
                            case _:
                                pytest.fail(f"a facet without index: {facet}")
                case _:
                    pass


@pytest.mark.long
def test_the_awkward_mix_has_every_kind_of_trouble() -> None:
    sent = stream(Settings(cheap=True, accounts=150, mix=Mix.awkward()), 12_000)
    found = commits(sent)
    seqs = Counter(one.truth.seq for one in sent)
    assert max(seqs.values()) > 1, "frames sent twice"
    assert any(commit.too_big for commit in found)
    faults = {op.fault for commit in found for op in commit.ops}
    assert faults == {None, "block_missing", "undecodable"}
    assert max(op.size for commit in found for op in commit.ops) > 500_000
    newest: dict[str, str] = {}
    stale = 0
    for commit in found:
        stale += commit.rev <= newest.get(commit.did, "")
        newest[commit.did] = max(commit.rev, newest.get(commit.did, ""))
    assert stale > 100
    actions: dict[tuple[str, str, str], list[str]] = {}
    for commit in found:
        for op in commit.ops:
            actions.setdefault((commit.did, op.collection, op.rkey), []).append(op.action)
    stories = {",".join(story) for story in actions.values()}
    for story in ("create,delete,create", "update,create", "update", "delete", "create,update", "create,delete"):
        assert story in stories, story
    assert any(isinstance(one.truth, SyncTruth) for one in sent)


def test_an_inactive_account_writes_nothing() -> None:
    inactive: set[str] = set()
    for one in stream(
        Settings(cheap=True, accounts=20, mix=Mix(account=20, account_deleted=5, account_returned=5, account_odd=5)), 3_000
    ):
        match one.truth:
            case AccountTruth(_, did, _, True) | AccountTruth(_, did, _, _, "throttled" | "desynchronized" | "sleeping"):
                inactive.discard(did)
            case AccountTruth(_, did):
                inactive.add(did)
            case CommitTruth(_, did):
                assert did not in inactive
            case _:
                pass


def test_a_file_gives_back_its_frames(tmp_path: Path) -> None:
    frames = [one.frame for one in stream(Settings(cheap=True), 50)]
    assert write_frames(tmp_path / "frames.bin", frames) == 50
    assert list(read_frames(tmp_path / "frames.bin")) == frames
    log = FrameLog([b"\xff no frame"], recorded=tmp_path / "frames.bin")
    assert [bytes(log[at]) for at in range(len(log))] == [*frames, b"\xff no frame"]
    seqs = [one.truth.seq for one in stream(Settings(cheap=True), 50)]
    first, last = seqs[0], seqs[-1]
    assert log.last_seq == last
    assert log.after(first, inclusive=False) == 1
    assert log.after(first, inclusive=True) == 0
    assert log.after(last, inclusive=False) == 51


def test_an_empty_file_has_no_frames(tmp_path: Path) -> None:
    write_frames(tmp_path / "empty.bin", [])
    log = FrameLog(recorded=tmp_path / "empty.bin")
    assert (len(log), log.last_seq, log.after(5, inclusive=True)) == (0, None, 0)


def test_five_types_are_no_more_than_five() -> None:
    sent = stream(Settings(cheap=True, accounts=50, mix=Mix.five_types()), 3_000)
    wanted = {f"app.bsky.{name}" for name in ("feed.like", "feed.post", "feed.repost", "graph.follow", "actor.profile")}
    assert {op.collection for commit in commits(sent) for op in commit.ops} == wanted
