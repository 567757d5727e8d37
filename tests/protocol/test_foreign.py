"""Where workers share the accounts: whatever a message's bytes are, one of them takes it, and the others let it pass."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.frames import COMMIT_HEADER, DID, commit_frame, commit_payload, encode, frame, like
from unified_indexer.protocol.events import Account, Commit, Event, Foreign, Identity, Sync, Unusable
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.proving import did_of
from unified_indexer.shares import Share

SHARES = Share(1, 3).siblings()
MESSAGE = commit_frame({"app.bsky.feed.like/1": like(1)})
ACCOUNT = {"op": 1, "t": "#account"}
# Some of these names are hashed into other shares than an empty one.
NOBODY: tuple[Any, ...] = (
    "did:plc:",
    "nobody",
    "alice.test",
    "no one",
    *("did:plc:" + letter * 300 for letter in "abcd"),
    "",
    7,
    None,
    b"did:plc:x",
    ["x"],
)
OF_AN_ACCOUNT = (Commit, Sync, Identity, Account, Unusable)
PAYLOAD: dict[str, Any] = {"seq": 7, "did": DID, "time": "2026-01-01T00:00:00Z", "active": True}


def takers(message: bytes) -> list[Event]:
    """What of the events of all shares is taken in: what is an account's, by the account's share."""
    events = [(share, decode(message, takes=share.takes)) for share in SHARES]
    whole = decode(message)
    assert all(type(event) is Foreign or event == whole for _, event in events)
    if not isinstance(whole, OF_AN_ACCOUNT):
        assert not any(type(event) is Foreign for _, event in events)
        return [whole]
    return [event for share, event in events if isinstance(event, OF_AN_ACCOUNT) and share.takes(did_of(event))]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_of_any_message_one_share_takes_it(data: st.DataObject) -> None:
    message = bytearray(data.draw(st.sampled_from([MESSAGE, frame(PAYLOAD, ACCOUNT), frame(PAYLOAD, {"op": 1, "t": "#sync"})])))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, min(len(message) - 1, 400)))
        message[at] = data.draw(st.integers(0, 255))
    assert len(takers(bytes(message))) == 1


@pytest.mark.parametrize(
    "changes",
    [
        *({"repo": repo} for repo in NOBODY),
        *({"seq": seq} for seq in (-1, 2**63, "7", None, True)),
        {"time": None},
        {"did": "did:plc:another"},
    ],
    ids=str,
)
def test_nobody_s_and_unsound_ones_too(changes: dict[str, Any]) -> None:
    """A name that is no DID has a hash as well: those who read the message further find nobody's, and so must all."""
    assert len(takers(frame(commit_payload({}, **changes)))) == 1


@pytest.mark.parametrize("header", [{"op": 1, "t": ["#commit"]}, {"op": True, "t": "#commit"}, {"op": 1}, 7], ids=str)
def test_odd_headers(header: Any) -> None:
    assert len(takers(frame(commit_payload({}), header))) == 1


def test_three_values_and_one() -> None:
    for message in (encode(COMMIT_HEADER), frame(PAYLOAD, ACCOUNT) + encode({})):
        assert len(takers(message)) == 1


def test_what_passes_has_its_seq_and_time() -> None:
    (foreign, *_), own = (
        [event for share in SHARES if type(event := decode(frame(PAYLOAD, ACCOUNT), takes=share.takes)) is Foreign],
        decode(frame(PAYLOAD, ACCOUNT)),
    )
    assert foreign == Foreign(7, DID, "2026-01-01T00:00:00Z")
    assert type(own) is not Foreign


def test_an_identity_is_read_by_all() -> None:
    """It says that a key may have changed, of which more than one keeps a copy."""
    message = frame(PAYLOAD, {"op": 1, "t": "#identity"})
    assert not any(type(decode(message, takes=share.takes)) is Foreign for share in SHARES)
