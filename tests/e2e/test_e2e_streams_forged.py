"""The verified stream stays verified behind a stream's server, also where one of the workers is killed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.stream import MESSAGES
from relay_simulator.encoding import seq_of
from relay_simulator.forge.forger import Forger
from relay_simulator.forge.told import Forged
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from relay_simulator.truth import Sent
from testing.databases import connected, differences
from testing.forgeries import OUTCOMES, learn, leave_handles_open
from testing.model import Model
from testing.processes import Process
from testing.streams import ingesting, valkey
from testing.waiting import until
from testing.workers import running, settings
from tests.e2e.test_e2e_streams import POOL, nothing_written, partitions, stored

COMMITS = 1_800  # honest ones
ONE_IN = 15  # of them to each forgery: each kind comes twice
KINDS = [kind for kind in OUTCOMES if kind != "old-key"]  # no key changes in this stream
SETTINGS = Settings(seed=11, accounts=200, history=50, mix=replace(Mix.realistic(), **dict.fromkeys(MESSAGES, 0.0)))


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("unified_indexer.stream.cursors.INTERVAL", 0.1)
    monkeypatch.setattr("unified_indexer.stream.partitions.TICK", 0.1)


async def letters(database: str) -> Mapping[int, set[str]]:
    """Why there are dead letters, by seq."""
    found = defaultdict[int, set[str]](set)
    async with connected(database) as connection:
        for row in await connection.fetch("SELECT seq, reason FROM unified_worker.dead_letters"):
            found[row["seq"]].add(row["reason"])
    return found


@pytest.mark.long
@pytest.mark.promise(7)
async def test_what_is_forged_is_refused_though_a_worker_is_killed(database: str, tmp_path: Path) -> None:
    """Each kind of forgery among honest commits, before the kill and after it; the killed worker has read some of them."""
    sent = list(Forger(Generator(SETTINGS), KINDS, ONE_IN).stream(COMMITS))
    forged = [one for one in sent if isinstance(one, Forged)]
    assert min(Counter(one.kind for one in forged)[kind] for kind in KINDS) > 1
    third = len(sent) // 3
    model, ledger = Model(verify="full"), Ledger(SETTINGS)
    async with valkey() as engine, RelayServer() as relay, Services(ledger) as services:

        def come(part: Sequence[Sent | Forged]) -> int:
            """The relay has these; the last seq."""
            for one in part:
                if one.truth is not None:
                    model.apply(one.truth)
                    ledger.note(one.truth)
                relay.append(one.frame)
            return seq_of(part[-1].frame) or 0

        url = engine.url(relay.url)
        given = {"VERIFY": "full", "PLC_RATE": "1000"} | services.settings
        async with (
            ingesting(database, url),
            running(database, url, reset_cursor=False, **given | {"DB_POOL_SIZE": str(POOL)}) as worker,
        ):
            async with connected(database) as connection:
                await learn(connection, SETTINGS)
            async with Process(tmp_path, **settings(database, url, **given)) as killed:
                await until(lambda: len(partitions(worker)) == 32, "two workers have half each")
                await stored(database, relay.url, come(sent[:third]))
                async with nothing_written(database, 1) as waiting:
                    come(sent[third : 2 * third])
                    await until(waiting, "both wait for the database")
                    killed.kill()
                assert "Traceback" not in killed.output
            async with Process(tmp_path, **settings(database, url, **given)) as another:
                await until(lambda: len(partitions(worker)) == 32, "two workers have half each again")
                await stored(database, relay.url, come(sent[2 * third :]))
                assert "Traceback" not in another.output
        assert worker.metrics.gaps == 0
    leave_handles_open(model)
    assert await differences(database, model) == []
    found = await letters(database)
    named = {one.seq: {str(name)} for one in forged if (name := OUTCOMES[one.kind].refused or OUTCOMES[one.kind].unusable)}
    assert {seq: found[seq] for seq in named} == named
    assert {seq: reasons for seq, reasons in found.items() if seq not in {one.seq for one in forged}} == {}
