"""Bytes and names of the protocol: CIDs, TIDs, times, DAG-CBOR, CAR files, commit objects, frames.

Sources: https://atproto.com/specs/data-model, /repository, /tid and /event-stream; https://ipld.io/specs/transport/car/carv1/.
In values that are to be encoded a CID is its 36 raw bytes (version, codec, hash code, length, digest): `libipld` writes bytes
that read as a CID as tag 42. Byte strings that are no CIDs but could be taken for one (signatures) are written by hand.
"""

from base64 import b32encode, b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeAlias, cast

import libipld

from relay_simulator.truth import Json

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | None"  # the data model; bytes are CIDs

CID_DAG_CBOR = b"\x01\x71\x12\x20"  # version 1, dag-cbor, sha-256, 32 bytes
CID_RAW = b"\x01\x55\x12\x20"  # the same for blobs
CID_LENGTH = 36
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TID_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
_TID_PAIRS = [a + b for a in _TID_DIGITS for b in _TID_DIGITS]


def cid_of(block: bytes) -> bytes:
    """The CID of a DAG-CBOR block."""
    return CID_DAG_CBOR + sha256(block).digest()


def cid_text(cid: bytes) -> str:
    """A CID as text: multibase 'b', base32 in lower case."""
    return "b" + b32encode(cid).decode().rstrip("=").lower()


def encode(value: Value) -> bytes:
    """A value as DAG-CBOR, map keys in canonical order."""
    return libipld.encode_dag_cbor(cast("Any", value))


def to_json(value: Value) -> Json:
    """The protocol's JSON form of a value; bytes that are a CID become `{"$link": …}`."""
    if isinstance(value, dict):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [to_json(inner) for inner in value]
    if isinstance(value, bytes):
        if len(value) == CID_LENGTH:
            return {"$link": cid_text(value)}
        return {"$bytes": b64encode(value).decode().rstrip("=")}
    return value


def tid(micros: int, clock: int) -> str:
    """The TID of an instant (µs since 1970) and a clock number (0 to 1023): 13 characters that sort by time."""
    pairs = _TID_PAIRS
    return (
        _TID_DIGITS[micros >> 50]
        + pairs[micros >> 40 & 1023]
        + pairs[micros >> 30 & 1023]
        + pairs[micros >> 20 & 1023]
        + pairs[micros >> 10 & 1023]
        + pairs[micros & 1023]
        + pairs[clock]
    )


def time_text(micros: int) -> str:
    """An instant (µs since 1970) as the protocol writes it, to the millisecond, in UTC."""
    return (EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{micros // 1000 % 1000:03d}Z"


def varint(number: int) -> bytes:
    """An unsigned LEB128 number, as CAR files use them."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def car_section(cid: bytes, block: bytes) -> bytes:
    """One block of a CAR file, with its length and CID."""
    return varint(len(cid) + len(block)) + cid + block


def car(root: bytes, sections: Iterable[bytes]) -> bytes:
    """A CAR version 1 with one root; `sections` come from `car_section`."""
    header = b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00" + root + b"\x67version\x01"
    return varint(len(header)) + header + b"".join(sections)


def unsigned_commit(did: str, rev: str, data: bytes) -> bytes:
    """The commit object of repository version 3 without `sig`: what is signed."""
    return b"\xa5\x63did" + encode(did) + b"\x63rev" + encode(rev) + _commit_tail(data)


def signed_commit(did: str, rev: str, data: bytes, signature: bytes) -> bytes:
    """The commit object with its 64-byte signature."""
    return b"\xa6\x63did" + encode(did) + b"\x63rev" + encode(rev) + b"\x63sig\x58\x40" + signature + _commit_tail(data)


def _commit_tail(data: bytes) -> bytes:
    return b"\x64data\xd8\x2a\x58\x25\x00" + data + b"\x64prev\xf6\x67version\x03"


def frame(name: str, payload: dict[str, Value]) -> bytes:
    """A message frame: header with `t` = name, then the payload."""
    return _header(name) + encode(payload)


def _header(name: str) -> bytes:
    return encode({"t": name, "op": 1})


def error_frame(error: str, message: str) -> bytes:
    """An error frame: after it the relay closes the stream."""
    return encode({"op": -1}) + encode({"error": error, "message": message})


def info_frame(name: str, message: str) -> bytes:
    """An #info message, which has no seq."""
    return frame("#info", {"name": name, "message": message})


def seq_of(message: bytes) -> int | None:
    """The seq that a frame carries; None for a message without one, or what is no frame."""
    try:
        values = cast("list[object]", libipld.decode_dag_cbor_multi(message))
    except ValueError:
        return None
    if len(values) == 2 and isinstance(values[1], dict):
        seq = cast("dict[str, object]", values[1]).get("seq")
        return seq if isinstance(seq, int) else None
    return None
