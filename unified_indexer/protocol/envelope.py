"""What can be seen of a message without looking into it: seq, account and time; for who passes messages on unopened."""

from typing import Any, NamedTuple, cast

from unified_indexer.protocol.commits import MAX_DID_CHARACTERS, MAX_SEQ
from unified_indexer.protocol.dag_cbor import decode_frame

_ACCOUNTS = {"#commit": "repo", "#sync": "did", "#identity": "did", "#account": "did"}


class Envelope(NamedTuple):
    """`did` is only a text that the message has in that place; `time` is its own text, None where it has none."""

    seq: int
    did: str
    time: str | None


def envelope(frame: bytes) -> Envelope | None:
    """The envelope of a message about an account; None for every other one, which `frames.decode` explains. Never raises.

    Blocks are not hashed and ops not looked at: a tenth of a decoding.
    """
    try:
        values = decode_frame(frame)
    except (ValueError, RecursionError):
        return None
    if len(values) != 2 or type(values[0]) is not dict or type(values[1]) is not dict:
        return None
    header, fields = cast("dict[str, Any]", values[0]), cast("dict[str, Any]", values[1])
    kind: object = header.get("t")
    if type(kind) is not str or kind not in _ACCOUNTS or header.get("op") != 1:
        return None
    seq, did, time = fields.get("seq"), fields.get(_ACCOUNTS[kind]), fields.get("time")
    if type(seq) is not int or not 0 <= seq <= MAX_SEQ or type(did) is not str or len(did) > MAX_DID_CHARACTERS:
        return None
    return Envelope(seq, did, time if type(time) is str else None)
