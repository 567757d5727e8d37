"""Every kind of forgery through a worker that verifies in full: refused or marked by its own name, all rows the model's.

One worker reads one stream, in which each kind is forged between honest commits of the same accounts. After each forged
message it is looked at what came of it; the tests then look at what was seen.
"""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, cast

import asyncpg
import libipld
import pytest

from relay_simulator import keys
from relay_simulator.changes import Change
from relay_simulator.encoding import cid_text
from relay_simulator.forge.edits import commit_of
from relay_simulator.forge.forger import Forger
from relay_simulator.forge.kinds import KINDS
from relay_simulator.forge.told import Forged
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.records import Record
from relay_simulator.server import RelayServer
from relay_simulator.truth import CommitTruth, Sent, Truth
from testing.databases import connected, differences
from testing.forgeries import AT_SIGNATURES, OUTCOMES, leave_handles_open
from testing.model import Model
from testing.model.states import Verify
from testing.waiting import until
from testing.workers import running
from tests.conftest import fresh
from unified_indexer.embedded.server import PostgresServer
from unified_worker import UnifiedWorker

ROTATED = range(4)  # numbers of accounts that have another key before anything is forged
SETTINGS = Settings(
    seed=5,
    accounts=100,
    history=30,
    per_second=2,  # minutes from the change of keys to a commit by an old one
    mix=replace(Mix.realistic(), account=0, account_deleted=0, handle_change=0),
    changes=tuple(Change(1_000_001, number, key=True, identity="never") for number in ROTATED),
)
HONEST = 200  # events before the first forgery
LETTERS = "SELECT reason FROM unified_worker.dead_letters WHERE seq = $1"
REPO = "SELECT * FROM unified_worker.repos WHERE did = $1"
CHECKED = "SELECT NOT EXISTS (SELECT FROM unified_worker.handle_checks WHERE did = $1)"
AT_ONCE = "UPDATE unified_worker.handle_checks SET retry_at = now() WHERE did = $1 AND retry_at > now()"
CERTAIN = "SELECT count(*) = 0 FROM unified_worker.repos WHERE status = 'deletion_unconfirmed'"
PROVEN = "SELECT count(*) = 0 FROM unified_worker.repos WHERE unproven IS NOT NULL"


@dataclass
class Came:
    """What came of one forged message: the reasons that were counted, those of its dead letters, its repo's row."""

    forged: Forged
    counted: Counter[str]
    letters: set[str]
    repo: Any


@dataclass
class Seen:
    """What came of the whole stream."""

    came: dict[str, Came] = field(default_factory=dict[str, Came])  # by kind; of a flood, of its last message
    honest: list[Sent] = field(default_factory=list[Sent])
    letters: dict[int, set[str]] = field(default_factory=lambda: defaultdict[int, set[str]](set))  # by seq, at the end
    repos: dict[str, Any] = field(default_factory=dict[str, Any])  # rows by DID, at the end
    handles: dict[str, str] = field(default_factory=dict[str, str])  # of users, by DID, at the end
    asked: Counter[str] = field(default_factory=Counter[str])  # of the directory about the forged account, by kind
    differences: list[str] = field(default_factory=list[str])

    def honest_letters(self) -> dict[int, set[str]]:
        """The dead letters of honest messages, by seq."""
        honest = {sent.truth.seq for sent in self.honest}
        return {seq: reasons for seq, reasons in self.letters.items() if seq in honest}

    def handles_of_others(self) -> dict[str, str]:
        """Who has a handle that is another's, by DID."""
        own = {keys.did(SETTINGS.seed, number): f"user{number}.simulator.test" for number in range(SETTINGS.accounts)}
        return {did: handle for did, handle in self.handles.items() if handle not in (own.get(did), "handle.invalid")}


class Run:
    """One worker, one stream."""

    def __init__(
        self, url: str, worker: UnifiedWorker, relay: RelayServer, services: Services, ledger: Ledger, level: Verify
    ) -> None:
        self.seen = Seen()
        self._url = url
        self._worker = worker
        self._relay = relay
        self._services = services
        self._ledger = ledger
        self._model = Model(confirm=True, verify=level)
        self._passes = {kind for kind, outcome in AT_SIGNATURES.items() if level == "signatures" and not any(outcome)}

    async def run(self) -> Seen:
        generator = Generator(SETTINGS)
        forger = Forger(generator, list(KINDS))
        async with connected(self._url) as connection:
            for number in range(SETTINGS.accounts):  # an account whose key is known yields nothing to a forger
                await self._worker.trust.identities.wait(self._ledger.did(number), 20)
            for sent in generator.stream(HONEST):
                self._send(sent)
            for kind in KINDS:
                await self._forge(connection, forger, kind)
                for sent in generator.stream(2):
                    self._send(sent)
            await self._end(connection, generator.next_seq() - 1)
        return self.seen

    async def _forge(self, connection: "asyncpg.Connection[Any]", forger: Forger, kind: str) -> None:
        sent = list(forger.forge(kind))
        *_, last = (one for one in sent if isinstance(one, Forged))
        asked = self._asked(last.did)
        if kind == "unknown-did":  # before that is known, it would count as any other
            await self._worker.trust.identities.wait(last.did, 20)
        for one in sent:
            if one is last:
                await self._through()
                before = Counter(self._worker.metrics.refused)
                if kind in self._passes and one.truth is None:
                    self._model.apply(signed_of(one, [other.truth for other in sent]))
                self._send(one)
                await self._through()
                await until(lambda: connection.fetchval(CERTAIN), "no deletion is in doubt", 20)
                letters = {row["reason"] for row in await connection.fetch(LETTERS, last.seq)}
                counted = Counter(self._worker.metrics.refused) - before
                self.seen.came[kind] = Came(last, counted, letters, await connection.fetchrow(REPO, last.did))
            else:
                self._send(one)
        self.seen.asked[kind] = self._asked(last.did) - asked

    def _asked(self, did: str) -> int:
        """How often the directory was asked about an account."""
        return sum(self._services.requests.count(endpoint, did) for endpoint in ("plc", "log"))

    def _send(self, sent: Sent | Forged) -> None:
        if sent.truth is not None:
            self._model.apply(sent.truth)
            self._ledger.note(sent.truth)
        if isinstance(sent, Sent):
            self.seen.honest.append(sent)
        self._relay.append(sent.frame)

    async def _through(self) -> None:
        """Wait until the worker has finished all that was sent."""
        count = len(self._relay.log)
        await until(lambda: self._worker.metrics.finished == count, "all that was sent is finished", 30, 0.002)

    async def _end(self, connection: "asyncpg.Connection[Any]", seq: int) -> None:
        await self._through()
        claimed = self.seen.came["false-handle"].forged.did
        await until(lambda: connection.fetchval(PROVEN), "all keys have come", 20)

        async def checked() -> bool:  # at once again where no answer came in time, in place of minutes later
            await connection.execute(AT_ONCE, claimed)
            return await connection.fetchval(CHECKED, claimed)

        await until(checked, "the claim of a handle is checked", 60)
        for row in await connection.fetch("SELECT seq, reason FROM unified_worker.dead_letters"):
            self.seen.letters[row["seq"]].add(row["reason"])
        self.seen.repos = {row["did"]: row for row in await connection.fetch("SELECT * FROM unified_worker.repos")}
        self.seen.handles = {row["did"]: row["handle"] for row in await connection.fetch("SELECT did, handle FROM users")}
        leave_handles_open(self._model)
        self.seen.differences = await differences(self._url, self._model)


@pytest.fixture(scope="module")
def seen(pg18: PostgresServer) -> Seen:
    """One run, for all tests."""
    return seen_at(pg18, "full")


def seen_at(server: PostgresServer, level: Verify) -> Seen:
    """What a run at this level sees; in a loop of its own, since a test's ends with the test."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        for task in ("database.background.wiper", "accounts.deletions", "accounts.handle_checks"):
            patch.setattr(f"unified_indexer.{task}.INTERVAL", 0.05)
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        return runner.run(whole(server, level))


async def whole(server: PostgresServer, level: Verify) -> Seen:
    ledger = Ledger(SETTINGS)
    async for url in fresh(server):
        async with RelayServer() as relay, Services(ledger) as services:
            given = {"VERIFY": level, "PLC_RATE": "1000"} | services.settings
            async with running(url, relay.url, reset_cursor=False, **given) as worker:
                return await Run(url, worker, relay, services, ledger, level).run()
    raise AssertionError("there was no database")


NAMED = {kind: str(outcome.refused or outcome.unusable) for kind, outcome in OUTCOMES.items()}
MARKED = {kind: str(outcome.marked) for kind, outcome in OUTCOMES.items() if outcome.marked}


@pytest.mark.long
def test_all_tables_are_the_model_s_without_what_was_forged(seen: Seen) -> None:
    assert seen.differences == []


def test_nothing_honest_is_refused(seen: Seen) -> None:
    """Also not the commits that were forged before they came."""
    assert seen.honest_letters() == {}


@pytest.mark.parametrize("kind", [kind for kind, name in NAMED.items() if name != "None"])
def test_what_its_account_did_not_sign_is_refused_by_name(seen: Seen, kind: str) -> None:
    """Its frame is kept, and its repo is as it was: nothing is to be fetched."""
    came = seen.came[kind]
    assert (dict(came.counted), came.letters) == ({NAMED[kind]: 1}, {NAMED[kind]})
    assert came.repo["sync_reason"] is None
    assert came.repo["rev"] < str(rev_of(came.forged))


@pytest.mark.parametrize("kind", MARKED)
def test_what_is_true_but_not_all_marks_its_repo_by_name(seen: Seen, kind: str) -> None:
    came = seen.came[kind]
    assert (came.repo["sync"], came.repo["sync_reason"], came.repo["rev"]) == (2, MARKED[kind], rev_of(came.forged))
    assert (came.letters, dict(came.counted)) == (set(), {})


def test_no_other_repo_is_marked(seen: Seen) -> None:
    """A relay must not be able to have any repo fetched that it likes."""
    marked = {seen.came[kind].forged.did for kind in MARKED}
    assert {did for did, repo in seen.repos.items() if repo["sync_reason"] is not None} == marked


def test_an_old_commit_again_is_ignored(seen: Seen) -> None:
    came = seen.came["replayed"]
    assert (came.letters, dict(came.counted)) == (set(), {})
    assert came.repo["rev"] > str(rev_of(came.forged))


def test_a_record_that_is_none_is_refused_alone(seen: Seen) -> None:
    came = seen.came["signed-node-as-record"]
    assert came.letters == {"missing_type"}
    assert (came.repo["sync_reason"], came.repo["rev"]) == (None, rev_of(came.forged))


def test_of_an_account_that_nobody_knows_nothing_is_applied(seen: Seen) -> None:
    came = seen.came["unknown-did"]
    assert (came.letters, came.repo) == ({"no_identity"}, None)


def test_a_deletion_that_the_account_s_host_denies_takes_nothing(seen: Seen) -> None:
    """All rows are there in the end (as the model has it), and the account is seen."""
    repo = seen.repos[seen.came["false-deletion"].forged.did]
    assert (repo["active"], repo["status"]) == (True, None)


def test_nobody_gets_the_handle_of_another(seen: Seen) -> None:
    assert seen.handles_of_others() == {}


def test_two_questions_a_forged_signature_and_none_for_what_needs_no_key(seen: Seen) -> None:
    """Which key the account has, and which it had."""
    signed = [kind for kind, name in NAMED.items() if name == "bad_signature" and kind != "old-key"]  # it comes after a flood
    assert {kind: seen.asked[kind] for kind in signed if seen.asked[kind] > 2} == {}
    others = [kind for kind, name in NAMED.items() if name != "bad_signature"]
    assert {kind: seen.asked[kind] for kind in others if seen.asked[kind]} == {}


def rev_of(forged: Forged) -> object:
    """The rev that the message says."""
    return payload_of(forged)["rev"]


def signed_of(forged: Forged, honest: list[Truth | None]) -> CommitTruth:
    """What the account has signed by a forged commit: that of the honest one with the same rev, over another tree."""
    (same,) = (truth for truth in honest if isinstance(truth, CommitTruth) and truth.rev == rev_of(forged))
    return same._replace(seq=forged.seq, data=cid_text(commit_of(payload_of(forged))["data"]))


def payload_of(forged: Forged) -> Record:
    """What the message says."""
    return cast("Record", libipld.decode_dag_cbor_multi(forged.frame)[1])
