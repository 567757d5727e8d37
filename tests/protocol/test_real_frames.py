"""The relay's own frames, against what another implementation made of them."""

import json
from typing import Any

import libipld

from testing.frames import DATA, needs_recorded, recorded
from unified_indexer.protocol.data_model import to_json_form
from unified_indexer.protocol.events import Account, Commit, Unusable
from unified_indexer.protocol.frames import decode


@needs_recorded
def test_every_op_is_what_another_implementation_decoded() -> None:
    expected: list[dict[str, Any]] = []
    for line in (DATA / "real_frames/expected.jsonl").read_text().splitlines():
        event = json.loads(line)
        assert event["kind"] == "commit"
        expected.append({"did": event["did"], **event["commit"]})
    found: list[dict[str, Any]] = []
    for frame in recorded("real_frames/frames.bin"):
        commit = decode(frame)
        assert isinstance(commit, Commit)
        assert commit.refused == ()
        for op in commit.ops:
            entry = {
                "did": commit.repo,
                "rev": commit.rev,
                "operation": op.action,
                "collection": op.collection,
                "rkey": op.rkey,
            }
            if op.cid is not None and op.block is not None:
                entry |= {"cid": libipld.encode_cid(op.cid), "record": to_json_form(op.block)}
            found.append(entry)

    def key(entry: dict[str, Any]) -> tuple[str, ...]:
        return entry["did"], entry["rev"], entry["collection"], entry["rkey"]

    assert len(expected) == 102
    assert sorted(found, key=key) == sorted(expected, key=key)


@needs_recorded
def test_odd_frames_come_out_by_name() -> None:
    account, commit = map(decode, recorded("odd_frames/malformed-time-and-since.bin"))
    assert isinstance(account, Account)
    assert account.active
    assert account.time.isoformat() == "2026-02-24T14:05:20.521546+00:00"
    assert isinstance(commit, Unusable)  # its server's clock is eight hours ahead
    assert (commit.seq, commit.reason) == (10331293478, "rev_in_future")
    (old,) = map(decode, recorded("odd_frames/no-rev-2023.bin"))
    assert isinstance(old, Unusable)
    assert (old.seq, old.did, old.rev, old.reason) == (4715462, "did:plc:o32okshy54r5h2vlrjpz3aln", None, "bad_rev")
    assert old.paths == ("app.bsky.feed.post/3ju35q7husm2p",)
