"""Millions of small commits, made as they are sent: nothing of them is kept, on either side.

python -m benchmarks.small --commits N serves them. Posts, likes, reposts and follows in the live network's shares, each by the
next one of a million accounts; every record is new, so that each is a row. A frame is as small as a sound commit can be: the
commit block and the record, without the tree's nodes, which the worker does not ask for.
"""

import argparse
import asyncio
from base64 import b32encode
from collections.abc import Mapping
from datetime import UTC, datetime

from relay_simulator.encoding import Value, car, car_section, cid_of, cid_text, encode, frame, signed_commit, tid, time_text
from relay_simulator.repository import NO_SIGNATURE
from relay_simulator.server import RelayServer

FIRST_SEQ = 1_000_001
ACCOUNTS = 1_000_000
START = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp() * 1_000_000)  # µs
PACE = 100  # µs between two commits, by their own clocks
CYCLE = ("like",) * 14 + ("repost",) * 2 + ("post",) * 2 + ("follow",) * 2
TREE = cid_of(b"")  # stands for the tree's root
A_CID = cid_text(TREE)


def did(account: int) -> str:
    """The DID of an account, by its number."""
    return "did:plc:" + b32encode(account.to_bytes(5, "big") * 3).decode().lower()


def account_of(number: int) -> int:
    """Who writes the commit of this number: accounts far apart in turn, each again after all others."""
    return number * 379_721 % ACCOUNTS


def post_uri(number: int) -> str:
    """The URI of the post that the commit of this number makes, or would."""
    return f"at://{did(account_of(number))}/app.bsky.feed.post/{tid(START + number * PACE, 0)}"


def record_of(number: int, time: str) -> tuple[str, Value]:
    """The collection and the record; it is about something of a while ago."""
    before = max(0, number - 20 - (number * 31 + number // ACCOUNTS * 7) % 5_000)  # another one each time round
    match CYCLE[number % len(CYCLE)]:
        case "post":
            return "app.bsky.feed.post", {"$type": "app.bsky.feed.post", "text": f"number {number}", "createdAt": time}
        case "follow":
            subject = did(account_of(before))
            return "app.bsky.graph.follow", {"$type": "app.bsky.graph.follow", "subject": subject, "createdAt": time}
        case kind:
            collection = f"app.bsky.feed.{kind}"
            of: Value = {"uri": post_uri(before - before % 20 + 16), "cid": A_CID}
            return collection, {"$type": collection, "subject": of, "createdAt": time}


def small_frame(number: int) -> bytes:
    """The frame of the commit of this number, from 0 on."""
    micros = START + number * PACE
    author, rev, time = did(account_of(number)), tid(micros, 0), time_text(micros)
    collection, record = record_of(number, time)
    block = encode(record)
    cid = cid_of(block)
    commit = signed_commit(author, rev, TREE, NO_SIGNATURE)
    root = cid_of(commit)
    payload: dict[str, Value] = {
        "seq": FIRST_SEQ + number,
        "repo": author,
        "rev": rev,
        "since": None,
        "commit": root,
        "ops": [{"action": "create", "path": f"{collection}/{rev}", "cid": cid}],
        "blobs": [],
        "time": time,
        "tooBig": False,
        "rebase": False,
    }
    return frame("#commit", payload | {"blocks": car(root, (car_section(root, commit), car_section(cid, block)))})


def rows(commits: int) -> Mapping[str, int]:
    """Rows by table, of the tables of records, that so many commits make."""
    kinds = [CYCLE[number] for number in range(len(CYCLE))]
    found = {f"{kind}s": commits // len(CYCLE) * kinds.count(kind) for kind in set(kinds)}
    for number in range(commits % len(CYCLE)):
        found[f"{kinds[number]}s"] += 1
    return {**found, "users": min(commits, ACCOUNTS), "unified_worker.repos": min(commits, ACCOUNTS)}


class SmallCommits:
    """A log of so many frames, each made when it is asked for."""

    def __init__(self, commits: int) -> None:
        self._commits = commits

    def __len__(self) -> int:
        return self._commits

    def __getitem__(self, position: int) -> bytes:
        return small_frame(position)

    def after(self, cursor: int, *, inclusive: bool) -> int:
        """The position of the first frame that a client with this cursor has yet to see."""
        return min(max(cursor - FIRST_SEQ + (not inclusive), 0), self._commits)


async def _serve(commits: int) -> None:
    async with RelayServer(log=SmallCommits(commits)) as relay:
        print(f"{commits:,} frames at {relay.url}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="benchmarks.small", description="Serves small commits.")
    parser.add_argument("--commits", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().commits))


if __name__ == "__main__":
    main()
