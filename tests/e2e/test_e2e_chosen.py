"""ACCOUNTS: the tables hold what chosen accounts did, as if nobody else wrote, and the cursor goes on with all."""

from pathlib import Path

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.records import FOLLOW, Record
from relay_simulator.repository import Draft, written
from relay_simulator.server import RelayServer
from testing.authors import Author, liking
from testing.databases import connected, differences
from testing.model import Model
from testing.traffic import traffic_of
from testing.waiting import until
from testing.workers import finished, running

LIKERS = "SELECT DISTINCT user_did FROM likes"
FOLLOWED = "SELECT following_did FROM follows WHERE follower_did = $1"
CURSOR = "SELECT max(cursor::bigint) FROM firehose_cursor"


async def test_only_chosen_accounts_are_in_the_tables(database: str, tmp_path: Path) -> None:
    stream = list(Generator(Settings(seed=11, accounts=200, mix=Mix.awkward(), cheap=True, history=20)).stream(2_000))
    dids = sorted({sent.truth.did for sent in stream})
    taken, model = dids[::4], Model(verify="off")
    for sent in stream:
        if sent.truth.did in taken:
            model.apply(sent.truth)
    file = tmp_path / "accounts.txt"
    file.write_text("# whom we index\n\n" + "\n".join(f"{did}  # one of them" for did in taken))
    last = max(sent.truth.seq for sent in stream)
    async with (
        RelayServer([sent.frame for sent in stream]) as relay,
        running(database, relay.url, ACCOUNTS=str(file)) as worker,
    ):
        await finished(worker, last)
        assert worker.metrics.filtered["account"] == sum(sent.truth.did not in taken for sent in stream)
    assert await differences(database, model) == []
    async with connected(database) as connection:
        assert await connection.fetchval(CURSOR) == last


async def test_whom_an_account_follows_is_indexed_from_then_on(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.database.background.chosen.INTERVAL", 0.05)
    reader, friend, stranger = Author("reader"), Author("friend"), Author("stranger")
    record: Record = {"$type": FOLLOW, "subject": friend.did, "createdAt": "2026-07-01T00:00:00.000Z"}
    async with RelayServer() as relay, running(database, relay.url, ACCOUNTS=f"follows-of:{reader.did}") as worker:
        relay.append(friend.commit(1, 1, liking("create", "1", 1)).frame)  # too early
        relay.append(reader.commit(2, 2, written("create", FOLLOW, "1", record)).frame)
        await until(lambda: worker.selection.follows(friend.did), "the follow is read")
        relay.append(friend.commit(3, 3, liking("create", "2", 2)).frame)
        relay.append(stranger.commit(4, 4, liking("create", "1", 3)).frame)
        relay.append(reader.commit(5, 5, liking("create", "1", 4)).frame)
        await finished(worker, 5)
        async with connected(database) as connection:
            assert {row[0] for row in await connection.fetch(LIKERS)} == {friend.did, reader.did}
            assert await connection.fetchval("SELECT count(*) FROM likes WHERE user_did = $1", friend.did) == 1
        relay.append(reader.commit(6, 6, Draft("delete", FOLLOW, "1")).frame)
        await until(lambda: not worker.selection.follows(friend.did), "the end of the follow is read")
        assert worker.selection.follows(reader.did)


async def test_the_history_of_whom_an_account_follows_is_fetched(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From nothing: an account, and by its own repo all that it follows."""
    monkeypatch.setattr("unified_indexer.database.background.chosen.INTERVAL", 0.05)
    monkeypatch.setattr("unified_indexer.backfill.left_out.INTERVAL", 0.05)
    settings = Settings(accounts=60, history=80)
    ledger = Ledger(settings, upto=lambda: relay.sent_seq)
    stream = traffic_of(list(ledger.noted(Generator(settings, ledger.archive).stream(100))), "full")
    did = ledger.did(2)
    async with RelayServer(stream.frames[-1:]) as relay, Services(ledger) as services:
        env = services.settings | {"VERIFY": "full", "PLC_RATE": "1000", "BACKFILL": "repair", "ACCOUNTS": f"follows-of:{did}"}
        async with running(database, relay.url, reset_cursor=False, **env), connected(database) as connection:

            async def complete() -> bool:
                follows = {row[0] for row in await connection.fetch(FOLLOWED, did)}
                known = {row[0] for row in await connection.fetch("SELECT did FROM unified_worker.repos WHERE sync = 1")}
                return len(follows) > 1 and known == {did, *follows}

            await until(complete, "the account and its follows are whole")
            authors = {row[0] for row in await connection.fetch("SELECT DISTINCT author_did FROM posts")}
            assert len(authors) > 1
            assert authors <= {did, *(row[0] for row in await connection.fetch(FOLLOWED, did))}
