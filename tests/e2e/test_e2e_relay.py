"""The relay misbehaves: it cuts, refuses, drops, repeats, counts anew. What it says is right stays right."""

import logging
import random
from pathlib import Path

import pytest

from relay_simulator.certificates import make_certificates
from relay_simulator.encoding import error_frame
from relay_simulator.faults import (
    Cut,
    Say,
    consumer_too_slow,
    future_cursor,
    garbage,
    outdated_cursor,
    text_message,
    too_large,
    truncated,
    unavailable,
)
from relay_simulator.server import RelayServer
from testing.authors import Author, liking
from testing.databases import connected, differences, saved, stored_cursor
from testing.processes import Process
from testing.traffic import traffic, traffic_of
from testing.waiting import until
from testing.workers import finished, running, settings
from tests.relay.test_connection import listening, moved
from unified_indexer.errors import Stop
from unified_indexer.log.handler import RateLimited


@pytest.mark.long
@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.promise(6)
async def test_the_relay_cuts_every_500_frames(database: str, how: str, inclusive: bool) -> None:
    """Whether the cursor's own event comes again or not is the relay's choice."""
    stream = traffic(3_000, awkward=True, seed=12)
    cut = Cut(500, "close" if how == "close" else "abort")
    async with (
        RelayServer(stream.frames, always=[cut], inclusive=inclusive) as relay,
        running(database, relay.url) as worker,
    ):
        await finished(worker, stream.last_seq)
        assert len(relay.cursors) >= 6
        assert relay.cursors[1:] == sorted(relay.cursors[1:], key=lambda cursor: cursor or 0)
    assert await differences(database, stream.model) == []


@pytest.mark.long
@pytest.mark.promise(3)
async def test_duplicate_frames_and_old_stretches_again(database: str) -> None:
    """A stream that stutters: stretches come again, and every frame now and then twice at once."""
    stream = traffic(2_000, awkward=True, seed=13)
    rng = random.Random(13)
    frames: list[bytes] = []
    for position, frame in enumerate(stream.frames):
        frames += [frame] * rng.choice((1, 1, 1, 2))
        if rng.random() < 0.01:
            frames += stream.frames[max(0, position - 100) : position + 1]
    async with RelayServer(frames) as relay, running(database, relay.url) as worker:
        await until(lambda: worker.metrics.finished == len(frames), "all frames are finished")
        await finished(worker, stream.last_seq)
    assert await differences(database, stream.model) == []


@pytest.mark.long
async def test_trouble_between_frames(database: str) -> None:
    """Errors of HTTP, a slow consumer's end, text, garbage, half a frame, too large a frame; each connection another."""
    stream = traffic(3_000, seed=14)
    script = [
        unavailable(),
        consumer_too_slow(300),
        [*text_message(100), Cut(300)],
        [*garbage(100), Cut(300)],
        [*truncated(100, stream.frames[0]), Cut(300)],
        [*too_large(100), Cut(300, "abort")],
        outdated_cursor(),
    ]
    async with RelayServer(stream.frames, script=script) as relay, running(database, relay.url) as worker:
        await finished(worker, stream.last_seq)
        assert len(relay.cursors) == len(script)
        assert worker.metrics.refused["text_frame"] == 1
        assert worker.metrics.events["unusable"] == 3  # garbage, half a frame, too large
        # The half is of a commit that was applied before: what is left of it says so.
        assert worker.metrics.dead_letters - worker.metrics.refused["wiping"] == 2 + len(stream.model.refused)
    assert await differences(database, stream.model) == []


async def test_consumer_too_slow_reconnects_from_what_was_received(database: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stream = traffic(1_000, seed=15)
    async with (
        RelayServer(stream.frames, script=[consumer_too_slow(400)]) as relay,
        running(database, relay.url) as worker,
    ):
        await finished(worker, stream.last_seq)
        assert len(relay.cursors) == 2
        assert relay.log.after(relay.cursors[1] or 0, inclusive=False) == 400  # nothing again, nothing left out
    assert "ConsumerTooSlow" in caplog.text
    assert await differences(database, stream.model) == []


async def test_after_an_error_frame_the_connection_is_left_though_the_relay_goes_on(database: str) -> None:
    stream = traffic(1_000, seed=15)
    goes_on = [Say(400, error_frame("InternalError", "the relay forgets to end the stream"))]
    async with RelayServer(stream.frames, script=[goes_on]) as relay, running(database, relay.url) as worker:
        await finished(worker, stream.last_seq)
        assert len(relay.cursors) == 2
        assert relay.log.after(relay.cursors[1] or 0, inclusive=False) == 400
    assert await differences(database, stream.model) == []


@pytest.mark.promise(6)
async def test_an_outdated_cursor_is_told(
    database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_worker.warn_limited", RateLimited().warn)  # one that no other test has used up
    stream = traffic(500)
    async with RelayServer(stream.frames, script=[outdated_cursor()]) as relay, running(database, relay.url) as worker:
        await finished(worker, stream.last_seq)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("OutdatedCursor" in warning for warning in warnings)


async def test_a_cursor_from_the_future_ends_with_1_and_the_ways_on(database: str, tmp_path: Path) -> None:
    async with (
        RelayServer(traffic(100).frames, always=future_cursor()) as relay,
        Process(tmp_path, **settings(database, relay.url, CURSOR="9999999")) as worker,
    ):
        assert await worker.ends() == 1
        assert "[ERROR] " in worker.output
        for way in ("9999999", "--reset-cursor", "CURSOR=oldest", "RELAY_URL"):
            assert way in worker.output
        assert "Traceback" not in worker.output
        assert await stored_cursor(database, relay.url) is None


async def test_a_relay_that_counts_anew_ends_with_1(database: str, tmp_path: Path) -> None:
    """The seq drops by more than 10,000. What came before it stands, and the cursor with it."""
    author = Author("counting")
    before = traffic_of(author.commit(seq, 1 + seq / 1e6, liking("create", str(seq), seq)) for seq in range(50_001, 50_101))
    anew = author.commit(1, 2, liking("create", "anew", 1))
    async with (
        RelayServer([*before.frames, anew.frame]) as relay,
        Process(tmp_path, **settings(database, relay.url)) as worker,
    ):
        assert await worker.ends() == 1
        for word in ("50,100", "--reset-cursor", "CURSOR=oldest", "RELAY_URL"):
            assert word in worker.output
        assert "Traceback" not in worker.output
        assert (await stored_cursor(database, relay.url) or 0) <= 50_100
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM likes WHERE uri LIKE '%/anew'") == 0


async def test_a_relay_that_counts_anew_is_noticed_after_a_restart_too(database: str) -> None:
    author = Author("counting")
    async with RelayServer([author.commit(50_000, 1, liking("create", "a", 1)).frame]) as relay:
        async with running(database, relay.url) as worker:
            await finished(worker, 50_000)
        # The log counts a lower seq as standing at the highest before it; so this says it between the frames.
        relay.script.append([Say(0, author.commit(7, 2, liking("create", "b", 1)).frame)])
        with pytest.raises(ExceptionGroup) as raised:
            async with running(database, relay.url) as worker:
                await finished(worker, 50_001)
        assert raised.group_contains(Stop, match="restarted its numbering")


@pytest.mark.promise(6)
async def test_the_cursor_of_a_relay_that_moved_is_kept_under_relay_url(database: str) -> None:
    """Where a redirect leads may change any day; RELAY_URL is what the operator wrote."""
    stream = traffic(300)
    async with RelayServer(stream.frames) as relay, listening(moved(relay.url)) as url:
        for connections in (1, 2):
            async with running(database, url) as worker:
                await until(lambda least=connections: relay.connections >= least, "the redirect is followed")
                await finished(worker, stream.last_seq)
        assert relay.cursors[-1] == stream.last_seq
    assert await stored_cursor(database, url) == stream.last_seq
    assert await stored_cursor(database, relay.url) is None
    assert await differences(database, stream.model) == []


async def test_tls_with_an_authority_of_its_own(database: str, tmp_path: Path) -> None:
    """An operator names the authority with SSL_CERT_FILE, which OpenSSL itself reads."""
    certificates = make_certificates(tmp_path)
    stream = traffic(500)
    async with RelayServer(stream.frames, tls=certificates.context()) as relay:
        assert relay.url.startswith("wss://")
        env = settings(database, relay.url, SSL_CERT_FILE=str(certificates.authority))
        async with Process(tmp_path, **env) as worker:
            await worker.says(r"Connected to wss://")
            await saved(database, relay.url, stream.last_seq)
    assert await differences(database, stream.model) == []


async def test_tls_with_an_unknown_authority_is_refused_and_tried_again(database: str, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    async with (
        RelayServer(traffic(100).frames, tls=certificates.context()) as relay,
        Process(tmp_path, **settings(database, relay.url)) as worker,
    ):
        line = await worker.says(
            r"^\[.*\] \[WARNING\] Cannot connect to wss://.*certificate verify failed.*; reconnecting in ([0-9.]+) s"
        )
        assert 1 <= float(line[1]) <= 2
        await worker.says(r"(?s)certificate verify failed.*certificate verify failed", seconds=5)  # it goes on trying
        assert relay.connections == 0
        assert "Traceback" not in worker.output


async def test_the_wrong_host_s_certificate_is_refused(database: str, tmp_path: Path) -> None:
    """The authority is known, but its certificate names localhost and 127.0.0.1 alone."""
    certificates = make_certificates(tmp_path)
    async with RelayServer(traffic(100).frames, tls=certificates.context(), host="127.0.0.2") as relay:
        env = settings(database, relay.url, SSL_CERT_FILE=str(certificates.authority), NO_PROXY="*")
        async with Process(tmp_path, **env) as worker:
            await worker.says(r"\[WARNING\] Cannot connect to wss://127\.0\.0\.2.*certificate verify failed")
