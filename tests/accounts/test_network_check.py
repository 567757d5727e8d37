"""`check --network`: what it prints, and the code that it exits with."""

from datetime import timedelta

import pytest

from relay_simulator.encoding import tid
from relay_simulator.hosts.faults import Status
from testing.commits import START
from testing.confirming import Scene, scene
from unified_indexer.accounts import documents
from unified_indexer.command_line.network_check import NetworkCheck
from unified_indexer.command_line.texts.status import account_text, status_text
from unified_indexer.config.settings import Config
from unified_indexer.database.status.account import account_status
from unified_indexer.database.status.database import status

CURSOR = "INSERT INTO firehose_cursor (service, cursor, last_event_time) VALUES ('relay.test', '1', $1)"
FAST = 600  # repos a minute


async def checked(on: Scene, number: int) -> NetworkCheck:
    """A check of so many random repos."""
    check = NetworkCheck(Config.from_env({"DATABASE_URL": on.worker.pool.url, **on.services.settings}), FAST, 1)
    check._number = number  # pyright: ignore[reportPrivateUsage]
    await check.run()
    return check


def rev(minutes: float) -> str:
    """The rev of a commit so many minutes after START."""
    return tid(int((START + timedelta(minutes=minutes)).timestamp() * 1_000_000), 0)


async def test_a_withheld_repo_is_told_and_counted(
    database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "PATIENCE", 10.0)
    async with scene(database) as on:
        assert (await checked(on, 1)).sound
        assert "Nothing has been indexed" in capsys.readouterr().out
        await on.worker.connection.execute(CURSOR, START + timedelta(hours=3))
        await on.writes(0)
        on.has(0, on.stream.revs[on.name(0)])
        assert (await checked(on, 2)).sound
        assert "No findings." in capsys.readouterr().out
        on.has(0, rev(30))
        assert not (await checked(on, 2)).sound
        out = capsys.readouterr().out
        assert f"{on.ledger.did(0)}: withheld: its PDS has {rev(30)}" in out
        assert "Findings: 2." in out
        on.services.faults.put(Status(503), "getLatestCommit")
        assert (await checked(on, 1)).sound, "nobody answered: nothing was found"
        assert "unanswered" in capsys.readouterr().out


async def test_status_names_what_waits_to_be_confirmed(database: str) -> None:
    async with scene(database) as on:
        await on.writes(0)
        await on.claims(0, "x.test")
        await on.said(0, False, "deleted")
        text = "\n".join(status_text(await status(on.worker.connection, "public")))
        assert "1 that only a relay has reported" in text
        assert on.ledger.did(0) in text
        assert "1 wait to be checked" in text
        text = "\n".join(account_text(await account_status(on.worker.connection, "public", on.ledger.did(0))))
        assert "not active, deletion_unconfirmed" in text
        assert "a relay says that it is deleted, and nobody has confirmed that" in text
        assert "x.test" in text
        assert "not checked" in text
