"""A million events in one run, by the worker as a process: in the end every table is what the model says. (Takes 15 minutes and
10 GB of memory, for the model and the rows that are compared.)

With VERIFY=full they are signed, and their keys asked of the simulator's directory: `make soak` does it with 100,000, the proof
`million-verified` with a million (`VERIFIED_EVENTS=1000000`).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_simulator.frames_file import write_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.server import RelayServer
from testing.databases import connected, differences, saved
from testing.model import Model
from testing.processes import Process
from testing.waiting import until
from testing.workers import settings
from tests.e2e.test_e2e_verify import REALISTIC

EVENTS = 1_000_000
VERIFIED_EVENTS = int(os.environ.get("VERIFIED_EVENTS", "100000"))
PER_ACCOUNT = 100  # signed events
SLOWEST = 200  # events a second
MAX_RSS = 200 * 10**6  # bytes
UNPROVEN = "SELECT count(*) FROM unified_worker.repos WHERE unproven IS NOT NULL"
# How far a repo is proven depends on when its key came, and the handle that is shown on when it was checked.
LATER = ("handle is", "inductive is", "sync is", "sync_reason is")


@pytest.mark.soak
async def test_a_million_events_of_live_traffic(database: str, tmp_path: Path) -> None:
    model, last_seq = Model(), 0
    generator = Generator(Settings(seed=31, accounts=EVENTS, cheap=True, padding=300))

    def frames() -> Iterator[bytes]:
        nonlocal last_seq
        for sent in generator.stream(EVENTS):
            model.apply(sent.truth)
            last_seq = max(last_seq, sent.truth.seq)
            yield sent.frame

    write_frames(tmp_path / "frames", frames())
    async with (
        RelayServer(recorded=tmp_path / "frames") as relay,
        Process(tmp_path, **settings(database, relay.url)) as worker,
    ):
        await saved(database, relay.url, last_seq, seconds=EVENTS / SLOWEST)
        assert worker.rss < MAX_RSS
        assert "Traceback" not in worker.output
    assert await differences(database, model) == []


@pytest.mark.soak
@pytest.mark.timeout(4 * 3_600)
async def test_signed_events_of_live_traffic_all_of_them_proven(database: str, tmp_path: Path) -> None:
    """The worker knows no key before: its directory is the simulator's."""
    accounts = max(VERIFIED_EVENTS // PER_ACCOUNT, 100)
    made = Settings(seed=31, accounts=accounts, history=60, mix=REALISTIC)
    model, ledger, last_seq = Model(verify="full"), Ledger(made), 0

    def frames() -> Iterator[bytes]:
        nonlocal last_seq
        for sent in Generator(made).stream(VERIFIED_EVENTS):
            model.apply(sent.truth)
            ledger.note(sent.truth)
            last_seq = max(last_seq, sent.truth.seq)
            yield sent.frame

    write_frames(tmp_path / "frames", frames())
    async with RelayServer(recorded=tmp_path / "frames") as relay, Services(ledger) as services, connected(database) as eye:
        given = services.settings | {"VERIFY": "full", "PLC_RATE": "1000"}
        async with Process(tmp_path, **settings(database, relay.url, **given)) as worker:
            await saved(database, relay.url, last_seq, seconds=60 + VERIFIED_EVENTS / SLOWEST)

            async def all_proven() -> bool:
                return not await eye.fetchval(UNPROVEN)

            await until(all_proven, "no repo is unproven", 60 + accounts / 100)
            assert worker.rss < MAX_RSS
            assert "Traceback" not in worker.output
        assert services.requests.count("plc") >= len(model.repos)
        assert await eye.fetchval("SELECT count(*) FROM unified_worker.dead_letters WHERE reason = 'bad_signature'") == 0
    assert await differences(database, model, excused=lambda line: any(words in line for words in LATER)) == []
