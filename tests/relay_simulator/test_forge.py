"""Each forgery of the simulator is refused or marked by its own name, on the bytes that are sent. Honest frames pass."""

import functools
import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import libipld
import pytest

from relay_simulator import keys
from relay_simulator.__main__ import main
from relay_simulator.encoding import seq_of
from relay_simulator.forge.forger import Forger
from relay_simulator.forge.kinds import KINDS
from relay_simulator.forge.told import Forged
from relay_simulator.frames_file import read_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.truth import CommitTruth, IdentityTruth, Sent
from testing.chain import Stored, commit_failure, sync_failure
from testing.forgeries import OUTCOMES, Outcome
from unified_indexer.errors import Rejected
from unified_indexer.protocol.car import split
from unified_indexer.protocol.chain import verdict
from unified_indexer.protocol.events import Commit, Sync, Unusable
from unified_indexer.protocol.failures import Effect, Failure
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.keys import SigningKey, signing_key
from unified_indexer.protocol.proof import prove, prove_sync, read_claim

SETTINGS = Settings(seed=3, accounts=200, history=50)
SAID = {"false-deletion", "false-handle", "identity-flood"}  # no signature belongs to these
SOUND = {"signed-node-as-record"}  # the commit is in order, its record is none
UNKNOWN = {"unknown-did"}  # there is no key to check it by


class Reader:
    """What a reader that verifies makes of each frame, and stores of each repo: by the protocol's rules, without a database."""

    def __init__(self, documents: dict[str, dict[str, object]]) -> None:
        self._documents = documents
        self._stored: dict[str, Stored] = {}

    def judge(self, frame: bytes) -> Outcome:
        event = decode(frame)
        if isinstance(event, Unusable):
            return Outcome(unusable=event.reason)
        if not isinstance(event, Commit | Sync):
            return Outcome()
        payload: Any = libipld.decode_dag_cbor_multi(frame)[1]
        try:
            failure = self._commit(payload) if isinstance(event, Commit) else self._sync(payload)
        except Rejected as rejected:
            return Outcome(refused=Failure(rejected.reason))
        if failure is None:
            return Outcome()
        return Outcome(ignored=failure) if failure.effect is Effect.IGNORED else Outcome(marked=failure)

    def _key(self, did: str) -> SigningKey | None:
        return signing_key(did, self._documents[did]) if did in self._documents else None

    def _commit(self, payload: Any) -> Failure | None:
        claim = read_claim(payload)
        proof = prove(claim, split(payload["blocks"])[1], self._key(claim.did))
        proven = verdict(claim, proof)
        stored = self._stored.get(claim.did, Stored(None, None, False))
        failure = commit_failure(stored, claim.rev, claim.since, proven)
        if failure is not Failure.STALE:
            self._stored[claim.did] = Stored(claim.rev, proof.data, stored.inductive or proven.inductive)
        return failure

    def _sync(self, payload: Any) -> Failure | None:
        (root,), blocks = split(payload["blocks"])
        did, rev = payload["did"], payload["rev"]
        data = prove_sync(did, rev, blocks[root], self._key(did))
        stored = self._stored.get(did, Stored(None, None, False))
        failure = sync_failure(stored, rev, data)
        if failure is not Failure.STALE:
            self._stored[did] = stored._replace(rev=rev, data=data)
        return failure


@functools.cache
def judged() -> list[tuple[Sent | Forged, Outcome]]:
    """A stream in which each kind is forged once, and what becomes of each of its frames."""
    generator = Generator(SETTINGS)
    for number in range(5):  # these have had another key, long ago
        generator.network.account_of(number).signer = keys.signer(SETTINGS.seed, number, 1)
    forger = Forger(generator, list(KINDS), every=10)
    stream = list(forger.stream(10 * len(KINDS)))
    accounts = generator.network.known_accounts()
    reader = Reader({one.did: keys.did_document(one.did, one.handle, one.signer) for one in accounts if one.signer is not None})
    return [(sent, reader.judge(sent.frame)) for sent in stream]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_to_nothing_by_its_own_name(kind: str) -> None:
    outcomes = [outcome for sent, outcome in judged() if isinstance(sent, Forged) and sent.kind == kind]
    assert set(outcomes) == {OUTCOMES.get(kind, Outcome())}
    assert (kind in OUTCOMES) == (kind not in SAID | SOUND | UNKNOWN)


def test_honest_frames_beside_forged_ones_pass() -> None:
    """Also those of the same accounts, of the very commits that were forged before."""
    honest = [(sent, outcome) for sent, outcome in judged() if isinstance(sent, Sent)]
    assert {outcome for _, outcome in honest} == {Outcome()}
    forged = {sent.did for sent, _ in judged() if isinstance(sent, Forged) and sent.kind not in SAID | UNKNOWN}
    after = {sent.truth.did for sent, _ in honest if isinstance(sent.truth, CommitTruth)}
    assert len(forged & after) > len(KINDS) // 2


def test_what_may_be_taken_of_a_forgery_is_told() -> None:
    for sent, outcome in judged():
        assert sent.frame
        if isinstance(sent, Forged):
            assert seq_of(sent.frame) == sent.seq
            takes = outcome.marked is not None or sent.kind in SOUND
            assert isinstance(sent.truth, CommitTruth) == takes, sent.kind
            assert sent.truth is None or (sent.truth.seq, sent.truth.did) == (sent.seq, sent.did)
            assert isinstance(sent.truth, IdentityTruth) == (sent.kind == "identity-flood")
    seqs = [seq_of(sent.frame) for sent, _ in judged()]
    assert all(one is not None and other is not None and one < other for one, other in pairwise(seqs))


def test_equal_seeds_forge_equal_streams() -> None:
    def frames() -> list[bytes]:
        return [sent.frame for sent in Forger(Generator(SETTINGS), ["own-key", "withheld"], every=10).stream(100)]

    assert frames() == frames()


def test_what_is_forged_live_comes_between_events() -> None:
    told: list[Forged] = []
    forger = Forger(Generator(SETTINGS), ["own-key"], 3, told.append)
    sent = [forger.event(datetime(2026, 7, 1, second=second, tzinfo=UTC)) for second in range(10)]
    assert [type(one) for one in sent] == [Sent] * 3 + [Forged] + [Sent] * 4 + [Forged] + [Sent]
    assert told == [one for one in sent if isinstance(one, Forged)]


def test_a_kind_that_fits_no_account_waits() -> None:
    assert all(isinstance(sent, Sent) for sent in Forger(Generator(SETTINGS), ["old-key"], every=1).stream(20))


def test_what_can_not_be_forged_is_said() -> None:
    with pytest.raises(ValueError, match="no trees"):
        Forger(Generator(Settings(cheap=True)), ["own-key"])
    with pytest.raises(ValueError, match="no such forgeries: magic"):
        Forger(Generator(SETTINGS), ["own-key", "magic"])


def test_the_command_tells_what_it_forges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "frames"
    options = ["--accounts", "3", "--commits", "6", "--forge", "own-key", "--every", "2", "--write", str(file)]
    monkeypatch.setattr("sys.argv", ["relay_simulator", *options])
    main()
    told = re.findall(r"forged: own-key at seq (\d+) of did:plc:", capsys.readouterr().out)
    seqs = {str(seq_of(frame)) for frame in read_frames(file)}
    assert len(told) == 3
    assert set(told) < seqs


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--forge", "magic"], "no such forgery: magic"),
        (["--forge", "all", "--cheap"], "--forge needs trees"),
        (["--forge", "own-key", "--every", "0"], "--every is 1 or more"),
    ],
)
def test_what_the_command_can_not_forge(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["relay_simulator", *arguments])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert told in capsys.readouterr().err
