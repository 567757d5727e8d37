"""What does not come is written down, once, whatever happens in between; and a relay that counts anew has two ways on."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from relay_simulator.encoding import frame, time_text
from relay_simulator.faults import Cut, Say, outdated_cursor
from relay_simulator.server import RelayServer
from relay_simulator.truth import AccountTruth, Sent
from testing.authors import SECOND, START, Author, liking
from testing.databases import connected, differences, saved, stored_cursor
from testing.processes import Process
from testing.traffic import traffic_of
from testing.waiting import until
from testing.workers import finished, running, settings

HOUR = 3600
GAPS = """
SELECT concat_ws(' ', reason, after_seq, upto_seq, extract(epoch FROM upto_time - after_time)::int) FROM unified_worker.gaps
ORDER BY id
"""


def likes(author: Author, seqs: Sequence[int], second: float = 0) -> list[Sent]:
    """A like a seq, a second apart, the first at this one."""
    return [author.commit(seq, second + n, liking("create", f"like{seq}", seq)) for n, seq in enumerate(seqs)]


def account(author: Author, seq: int, second: float, active: bool) -> Sent:
    """An #account of this author."""
    truth = AccountTruth(seq, author.did, time_text(START + int(second * SECOND)), active, None if active else "deactivated")
    payload: dict[str, Any] = {name: value for name, value in truth._asdict().items() if value is not None}
    return Sent(frame("#account", payload), truth)


def frames(stream: Sequence[Sent]) -> list[bytes]:
    return [sent.frame for sent in stream]


async def gaps(url: str) -> list[str]:
    """`reason after upto seconds` of each."""
    async with connected(url) as connection:
        return [row[0] for row in await connection.fetch(GAPS)]


def port_of(relay: RelayServer) -> int:
    return urlsplit(relay.url).port or 0


@pytest.mark.promise(6)
async def test_what_the_relay_no_longer_has(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """It was away for an hour, in the middle of a connection's life and over a restart; and once it says so itself."""
    before, after, more, last = (
        likes(Author("kept"), seqs, second)
        for seqs, second in (((1, 2, 3), 0), ((500, 501), HOUR), ((900,), 3 * HOUR), ((990,), 3 * HOUR + 1))
    )
    async with RelayServer(frames(before)) as relay:
        async with running(database, relay.url) as worker:
            await finished(worker, 3)
            relay.drop()
            for sent in after:
                relay.append(sent.frame)
            await finished(worker, 501)
        assert await gaps(database) == ["retention 3 500 3598"]
        relay.append(more[0].frame)
        async with running(database, relay.url) as worker:
            await finished(worker, 900)
        relay.append(last[0].frame)
        relay.script.append(outdated_cursor())
        async with running(database, relay.url) as worker:
            await finished(worker, 990)
        assert await gaps(database) == ["retention 3 500 3598", "retention 501 900 7199", "retention 900 990 1"]
        assert sum(message.startswith("Gap: after seq ") for message in caplog.messages) == 3
        async with running(database, relay.url) as worker:  # nothing new, and nothing again
            await finished(worker, 990)
        assert len(await gaps(database)) == 3
    assert await differences(database, traffic_of([*before, *after, *more, *last]).model) == []


@pytest.mark.long
@pytest.mark.promise(6)
async def test_a_message_that_can_t_be_read(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """It comes on each connection, after the third event; the relay goes on when it is asked for what is behind it."""
    caplog.set_level(logging.WARNING)
    stream = likes(Author("read"), (1, 2, 3, 10, 11))
    broken = Say(0, b"\xff\xfe", text=True)
    async with RelayServer(frames(stream), script=[[Say(3, b"\xff\xfe", text=True)], [broken], [broken]]) as relay:
        async with running(database, relay.url) as worker:
            await finished(worker, 11)
            assert relay.cursors == [0, 3, 4, 5]
        assert await gaps(database) == ["unreadable 3 10 1"]
    assert await differences(database, traffic_of(stream).model) == []


@pytest.mark.long
@pytest.mark.promise(6)
async def test_killed_around_a_gap_it_is_kept_once(database: str, tmp_path: Path) -> None:
    before, after = likes(Author("dead"), (1, 2, 3)), likes(Author("alive"), (700, 701), HOUR)
    async with RelayServer(frames(before)) as relay, connected(database) as connection:
        env = settings(database, relay.url)
        async with Process(tmp_path, **env) as worker:
            await saved(database, relay.url, 3)
        async with Process(tmp_path, **env) as worker:
            await worker.says("Connected to ")
            async with connection.transaction():  # what comes after the gap is not finished
                await connection.execute("LOCK TABLE likes")
                for sent in after:
                    relay.append(sent.frame)
                await worker.says(r"\[WARNING\] Gap: after seq 3 .* continues with seq 700 .*\(the relay no longer had it\)")
                worker.kill()
            assert await stored_cursor(database, relay.url) == 3
            assert await gaps(database) == []
        async with Process(tmp_path, **env) as worker:
            await saved(database, relay.url, 701)
            assert await gaps(database) == ["retention 3 700 3598"]
            worker.kill()
        async with Process(tmp_path, **env) as worker:
            await worker.says("Connected to ")
            relay.append(Author("later").commit(702, HOUR + 2, liking("create", "x", 1)).frame)
            await saved(database, relay.url, 702)
        assert await gaps(database) == ["retention 3 700 3598"]


@pytest.mark.promise(6)
async def test_a_reset_that_skips_is_a_gap_and_one_that_replays_is_none(database: str) -> None:
    stream = likes(Author("reset"), range(1, 11))
    async with RelayServer(frames(stream)) as relay:
        async with running(database, relay.url) as worker:
            await finished(worker, 10)
        for start in ("oldest", "4"):
            async with running(database, relay.url, reset_cursor=True, CURSOR=start) as worker:
                await finished(worker, 10)
            assert await gaps(database) == []
        async with running(database, relay.url, reset_cursor=True, CURSOR="live") as worker:
            await until(lambda: relay.connections == 4, "it listens")
        assert await gaps(database) == ["reset 10"]  # not known yet, and still there after a stop
        more = likes(Author("reset"), (40, 41), 60)
        relay.append(more[0].frame)
        async with running(database, relay.url, CURSOR="live") as worker:
            await until(lambda: relay.connections == 5 and bool(relay.open), "it listens")
            relay.append(more[1].frame)
            await finished(worker, 41)
        assert await gaps(database) == ["reset 10 41 52"]
    assert await differences(database, traffic_of([*stream, more[1]]).model) == []


@pytest.mark.long
async def test_a_relay_that_counts_anew_and_the_two_ways_on(database: str, tmp_path: Path) -> None:
    """Its new numbering begins at 1. What it says of accounts counts again, though its seqs are lower than before."""
    writer, quiet = Author("writer"), Author("quiet")
    old = [*likes(writer, range(50_001, 50_101)), account(quiet, 50_200, 120, active=True)]
    lost, hidden = likes(Author("other"), (50_201,), 150), account(quiet, 60, 260, active=False)
    new, back = [*likes(writer, range(1, 51), 200), hidden], account(quiet, 61, 259, active=True)
    async with RelayServer(frames(old)) as relay:
        async with running(database, relay.url) as worker:
            await finished(worker, 50_200)
        port = port_of(relay)
    env = settings(database, f"ws://127.0.0.1:{port}")

    async def active() -> bool:
        async with connected(database) as connection:
            return await connection.fetchval("SELECT active FROM unified_worker.repos WHERE did = $1", quiet.did)

    async with RelayServer(frames(new), port=port) as relay:
        relay.script.append([Say(0, new[0].frame)])  # asked from 50,200, it just goes on
        async with Process(tmp_path, **env) as worker:
            assert await worker.ends() == 1
            assert "restarted its numbering" in worker.output
        assert await gaps(database) == []
        async with Process(tmp_path, "--reset-cursor", **env) as worker:
            await saved(database, relay.url, 60)
            await worker.says(r"\[WARNING\] Gap: after seq 50200 .* continues with seq 1 .*the relay restarted its numbering")
        assert relay.cursors == [50_200, 0]
        assert await gaps(database) == ["renumbered 50200 1 80"]
        assert not await active()
        async with Process(tmp_path, **env) as worker:  # from now on as ever: within the new numbering seqs decide
            await worker.says("Connected to .* from cursor 60")
            relay.append(back.frame)
            await saved(database, relay.url, 61)
        assert await active()
        assert len(await gaps(database)) == 1
    assert await differences(database, traffic_of([*old[:-1], *new[:-1], back]).model) == []
    # The other way: another relay, which kept the old numbering and has what the first one lost.
    async with RelayServer([*frames(old), *frames(lost)]) as other, running(database, other.url) as worker:
        await finished(worker, 50_201)
    assert await differences(database, traffic_of([*old[:-1], *new[:-1], back, *lost]).model) == []
    assert len(await gaps(database)) == 1


@pytest.mark.promise(6)
async def test_a_cut_is_no_gap(database: str) -> None:
    stream = likes(Author("cut"), range(1, 200))
    async with RelayServer(frames(stream), always=[Cut(20)]) as relay, running(database, relay.url) as worker:
        await finished(worker, 199)
    assert await gaps(database) == []
