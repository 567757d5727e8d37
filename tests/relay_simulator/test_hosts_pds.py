"""What a PDS says of its accounts' repositories, against what the stream has sent of them."""

import json
from typing import Any

import aiohttp
import pytest

from relay_simulator.changes import Change
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.truth import AccountTruth, CommitTruth, SyncTruth
from testing.model.model import Model

FIRST = 1_000_001


async def asked(pds: str, method: str, did: str) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{pds}/xrpc/com.atproto.sync.{method}", params={"did": did}) as answer,
    ):
        return answer.status, json.loads(await answer.text())


def pds_of(services: Services, ledger: Ledger, did: str) -> str:
    standing = ledger.standing(did)
    assert standing is not None
    return services.pds_urls[standing.pds]


async def test_rev_and_commit_are_those_of_the_newest_frame_that_was_sent() -> None:
    settings = Settings(accounts=30, history=20, mix=Mix.awkward())
    sent = list(Generator(settings).stream(900))
    for length in (300, 900):
        upto = max(one.truth.seq for one in sent[:length])
        ledger = Ledger(settings, upto=lambda upto=upto: upto)
        for one in sent:
            ledger.note(one.truth)
        newest: dict[str, CommitTruth | SyncTruth] = {}
        for one in sent[:length]:
            match one.truth:
                case CommitTruth(did=did, commit=str()) | SyncTruth(did=did, commit=str()) as truth:
                    newest[did] = max(newest.get(did, truth), truth, key=lambda truth: truth.rev)
                case _:
                    pass
        async with Services(ledger) as services:
            for did, truth in newest.items():
                status, body = await asked(pds_of(services, ledger, did), "getLatestCommit", did)
                standing = ledger.standing(did)
                assert standing is not None
                if standing.active:
                    assert (status, body) == (200, {"cid": truth.commit, "rev": truth.rev})
                    body = (await asked(pds_of(services, ledger, did), "getRepoStatus", did))[1]
                    assert (body["active"], body["rev"]) == (True, truth.rev)
            assert len(newest) > 20


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("deactivated", "RepoDeactivated"),
        ("suspended", "RepoSuspended"),
        ("takendown", "RepoTakendown"),
        ("deleted", "RepoNotFound"),
    ],
)
async def test_errors_are_those_that_the_lexicons_name(status: str, error: str) -> None:
    settings = Settings(accounts=5, history=20)
    ledger = Ledger(settings)
    for one in Generator(settings).stream(50):
        ledger.note(one.truth)
    did = ledger.did(1)
    ledger.note(AccountTruth(2_000_000, did, "2026-07-01T00:00:00.000Z", active=False, status=status))
    async with Services(ledger) as services:
        assert await asked(services.pds_urls[0], "getRepoStatus", did) == (
            200,
            {"did": did, "active": False, "status": status},
        )
        code, body = await asked(services.pds_urls[0], "getLatestCommit", did)
        assert (code, body["error"]) == (400, error)
        code, body = await asked(services.pds_urls[0], "getRepoStatus", "did:plc:nobody")
        assert (code, body["error"]) == (400, "RepoNotFound")
        assert (services.requests.count("getRepoStatus", did), services.requests.count("getLatestCommit")) == (1, 1)


async def test_an_account_that_moves_is_at_the_other_host() -> None:
    settings = Settings(accounts=5, history=20, changes=(Change(FIRST + 40, account=1, key=True, pds=True),))
    sent = list(Generator(settings).stream(120))
    sent_seq = FIRST + 39
    ledger = Ledger(settings, upto=lambda: sent_seq)
    for one in sent:
        ledger.note(one.truth)
    did = ledger.did(1)
    async with Services(ledger) as services:
        first, second = services.pds_urls
        assert (await asked(first, "getRepoStatus", did))[1]["active"] is True
        assert (await asked(second, "getRepoStatus", did))[0] == 400
        sent_seq = FIRST + 200
        assert (await asked(first, "getRepoStatus", did))[1] == {"did": did, "active": False, "status": "deactivated"}
        assert (await asked(first, "getLatestCommit", did))[1]["error"] == "RepoDeactivated"
        assert (await asked(second, "getLatestCommit", did))[0] == 200


async def test_a_relay_of_any_traffic_agrees_with_the_model_on_revs() -> None:
    """The ledger's revs are those that a reader without a fault would store."""
    settings = Settings(accounts=40, history=20, mix=Mix.awkward())
    ledger, model = Ledger(settings), Model()
    for one in Generator(settings).stream(1_500):
        ledger.note(one.truth)
        model.apply(one.truth)
    stored = {did: repo.rev for did, repo in model.repos.items() if repo.rev}
    assert len(stored) > 20
    for did, rev in stored.items():
        standing = ledger.standing(did)
        assert standing is not None
        assert standing.rev == rev
