"""Frames recorded from the public relay, served over a websocket: the rows that another implementation read out of them."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

import libipld
import pytest

from relay_simulator.frames_file import read_frames
from relay_simulator.server import RelayServer
from relay_simulator.truth import CommitTruth, OpTruth
from testing.databases import connected, differences
from testing.model import Model
from testing.workers import finished, running

DATA = Path(__file__).parents[2] / "../shared/data"
REAL, ODD = DATA / "real_frames", DATA / "odd_frames"
needs_recordings = pytest.mark.skipif(not REAL.exists(), reason="the recorded frames (../shared/data) are not here")


def payload(frame: bytes) -> dict[str, Any]:
    """The second value of a frame."""
    return cast("list[dict[str, Any]]", libipld.decode_dag_cbor_multi(frame))[1]


def expected_commits(frames: list[bytes]) -> list[CommitTruth]:
    """What the other implementation read, one commit a frame; seq and time, which it does not tell, are the frame's."""
    ops: defaultdict[tuple[str, str], list[OpTruth]] = defaultdict(list)
    for line in (REAL / "expected.jsonl").read_text().splitlines():
        event = json.loads(line)
        commit = event["commit"]
        ops[event["did"], commit["rev"]].append(
            OpTruth(commit["operation"], commit["collection"], commit["rkey"], commit.get("cid"), commit.get("record"), 0, None)
        )
    commits: list[CommitTruth] = []
    for fields in map(payload, frames):
        did, rev = fields["repo"], fields["rev"]
        commits.append(CommitTruth(fields["seq"], did, rev, None, fields["time"], tuple(ops.pop((did, rev))), False, True))
    assert not ops
    return commits


@needs_recordings
async def test_real_frames_give_exactly_the_expected_rows(database: str) -> None:
    frames = list(read_frames(REAL / "frames.bin"))
    model = Model()
    for commit in expected_commits(frames):
        model.apply(commit)
    assert model.refused == []
    async with RelayServer(recorded=REAL / "frames.bin") as relay, running(database, relay.url) as worker:
        await finished(worker, max(payload(frame)["seq"] for frame in frames))
        assert worker.metrics.finished == len(frames) == 100
        assert not worker.metrics.refused
    assert await differences(database, model) == []
    async with connected(database) as connection:
        counts = {
            table: await connection.fetchval(f"SELECT count(*) FROM {table}")
            for table in ("likes", "reposts", "posts", "follows")
        }
    assert counts == {"likes": 69, "reposts": 12, "posts": 10, "follows": 5}


@needs_recordings
async def test_strange_times_and_a_rev_ahead_of_its_time_are_survived(database: str) -> None:
    """An #account with 7 fraction digits and no zone; a commit without ops, its rev 8 hours after its time: kept by name."""
    async with RelayServer(recorded=ODD / "malformed-time-and-since.bin") as relay, running(database, relay.url) as worker:
        await finished(worker, 10_331_293_478)
        assert worker.metrics.events == {"account": 1, "unusable": 1}
        assert worker.metrics.refused == {"rev_in_future": 1}
    async with connected(database) as connection:
        letters = await connection.fetch("SELECT did, rev, seq, reason FROM unified_worker.dead_letters")
    kept = ("did:plc:jq3zvrb5ewg2qgup73qsouze", "3mgdycfub2y22", 10_331_293_478, "rev_in_future")
    assert [tuple(letter) for letter in letters] == [kept]


@needs_recordings
async def test_a_commit_of_an_older_protocol_is_kept_with_its_reason(database: str) -> None:
    """It has no rev: nothing says where in its repo's history it belongs."""
    async with RelayServer(recorded=ODD / "no-rev-2023.bin") as relay, running(database, relay.url) as worker:
        await finished(worker, 4_715_462)
        assert sum(worker.metrics.refused.values()) == worker.metrics.dead_letters == 1
    async with connected(database) as connection:
        letter = await connection.fetchrow(
            "SELECT * FROM unified_worker.dead_letters JOIN unified_worker.dead_frames ON sha256 = frame_sha256"
        )
        assert letter is not None
        assert (letter["seq"], letter["path"]) == (4_715_462, "app.bsky.feed.post/3ju35q7husm2p")
        assert letter["frame"] == next(read_frames(ODD / "no-rev-2023.bin"))
        assert await connection.fetchval("SELECT count(*) FROM posts") == 0
