"""Changes of identity: from their seq on the stream, the documents and the names are other ones."""

from typing import Any

import libipld
import pytest
from atproto_crypto.verify import verify_signature

from relay_simulator.changes import Change, Told, parse_change
from relay_simulator.encoding import encode
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.truth import CommitTruth, IdentityTruth, Sent

AT = 1_000_200
ACCOUNT = 2


def stream_of(change: Change) -> tuple[Settings, list[Sent]]:
    settings = Settings(accounts=12, history=20, changes=(change,))
    return settings, list(Generator(settings).stream(400))


def signed_by(sent: Sent, key: str) -> bool:
    payload = libipld.decode_dag_cbor_multi(sent.frame)[1]
    block: dict[str, Any] = libipld.decode_car(payload["blocks"])[1][payload["commit"]]
    signature = block.pop("sig")
    return verify_signature(key, encode(block), signature)


@pytest.mark.parametrize("identity", ["before", "after", "never"])
def test_from_its_seq_on_commits_are_signed_by_the_new_key(identity: Told) -> None:
    settings, sent = stream_of(Change(AT, ACCOUNT, key=True, identity=identity))
    sent_seq = AT - 1
    ledger = Ledger(settings, upto=lambda: sent_seq)
    for one in sent:
        ledger.note(one.truth)
    did = ledger.did(ACCOUNT)

    def key() -> str:
        standing = ledger.standing(did)
        assert standing is not None
        return f"did:key:{ledger.key(standing).multibase}"

    old = key()
    sent_seq = AT
    new = key()
    assert old != new
    commits = [one for one in sent if isinstance(one.truth, CommitTruth) and one.truth.did == did]
    assert all(signed_by(one, old) == (one.truth.seq < AT) for one in commits)
    assert all(signed_by(one, new) == (one.truth.seq >= AT) for one in commits)
    first = next(one.truth.seq for one in commits if one.truth.seq >= AT)
    assert sum(one.truth.seq < AT for one in commits) > 5
    told = [one.truth.seq for one in sent if isinstance(one.truth, IdentityTruth) and one.truth.did == did]
    near = [seq for seq in told if AT <= seq <= first + 5]
    assert near == {"before": [AT], "after": near[-1:], "never": []}[identity] or (identity == "before" and near[0] < first)
    assert (identity == "never") == (not near)
    assert all((seq > first) == (identity == "after") for seq in near)


def test_what_nobody_ordered_stays_as_it_was() -> None:
    settings, changed = stream_of(Change(AT, ACCOUNT, key=True))
    plain = list(Generator(Settings(accounts=12, history=20)).stream(400))
    before = [one.frame for one in plain if one.truth.seq < AT - 5]
    assert [one.frame for one in changed][: len(before)] == before
    assert settings.changes


def test_a_handle_goes_to_another_account() -> None:
    settings, sent = stream_of(Change(AT, ACCOUNT, handle="user5.simulator.test", identity="never"))
    sent_seq = AT - 1
    ledger = Ledger(settings, upto=lambda: sent_seq)
    for one in sent:
        ledger.note(one.truth)
    assert ledger.holder("user5.simulator.test") == ledger.did(5)
    assert ledger.holder("user2.simulator.test") == ledger.did(ACCOUNT)
    sent_seq = AT
    assert ledger.holder("user5.simulator.test") == ledger.did(ACCOUNT)
    assert ledger.holder("user2.simulator.test") is None
    standing, loser = ledger.standing(ledger.did(ACCOUNT)), ledger.standing(ledger.did(5))
    assert standing is not None
    assert loser is not None
    assert (standing.handle, loser.handle) == ("user5.simulator.test", "user5.simulator.test")


def test_a_change_may_be_ordered_later() -> None:
    ledger = Ledger(Settings(accounts=12), upto=lambda: AT)
    ledger.order(Change(AT + 1, 3, key=True))
    ledger.order(Change(AT, 3, key=True))
    standing = ledger.standing(ledger.did(3))
    assert standing is not None
    assert standing.generation == 1


def test_a_change_is_read_from_a_command() -> None:
    assert parse_change("7@1000500=key,pds,identity:before") == Change(1_000_500, 7, key=True, pds=True, identity="before")
    assert parse_change("7@9=handle:a.test") == Change(9, 7, handle="a.test")
    assert parse_change("7@9=tombstone,identity:never") == Change(9, 7, tombstone=True, identity="never")


@pytest.mark.parametrize("text", ["", "7", "7@9", "7@9=", "x@9=key", "7@y=key", "7@9=keys", "7@9=handle", "7@9=identity:soon"])
def test_what_is_no_change_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_change(text)
