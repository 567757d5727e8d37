"""Changes of a frame that know its structure: hashes that fit again afterwards, so that the change is looked at, or do not."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, cast

import libipld

from relay_simulator.encoding import CID_DAG_CBOR, car, car_section, cid_of

Section = tuple[bytes, bytes]  # CID, block


class Parts(NamedTuple):
    """A commit's frame taken apart."""

    header: Any
    payload: dict[str, Any]
    root: bytes
    sections: list[Section]

    def whole(self) -> bytes:
        blocks = car(self.root, [car_section(*section) for section in self.sections])
        return libipld.encode_dag_cbor(self.header) + libipld.encode_dag_cbor({**self.payload, "blocks": blocks})


def parts_of(frame: bytes) -> Parts | None:
    """The parts of a commit that is as good as sound; None for any other frame."""
    try:
        header, payload = libipld.decode_dag_cbor_multi(frame)
        root, ops, blocks = payload["commit"], payload["ops"], payload["blocks"]
        if type(root) is not bytes or type(ops) is not list or type(header) is not dict:
            return None
        return Parts(header, payload, root, _sections(blocks))
    except (ValueError, RecursionError, KeyError, TypeError, IndexError):
        return None


def mutate(frame: bytes, rng: Random) -> bytes:
    """The frame, changed in one to three places."""
    for _ in range(rng.randint(1, 3)):
        parts = parts_of(frame)
        if parts is None or not parts.sections or rng.random() < 0.2:
            frame = changed(frame, rng)
        else:
            rng.choice(CHANGES)(parts, rng)
            try:
                frame = parts.whole()
            except (ValueError, TypeError, RecursionError):
                frame = changed(frame, rng)
    return frame


def changed(data: bytes, rng: Random) -> bytes:
    """Bytes with some flipped, cut, repeated, put elsewhere, or replaced by a head that claims much."""
    at, length = rng.randint(0, len(data)), rng.choice((1, 2, 4, 40, 400))
    piece = data[at : at + length]
    match rng.randrange(7):
        case 0:
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + bytes([piece[0] ^ 1 << rng.randrange(8)] if piece else b"") + data[at + 1 :]
        case 2:
            return data[:at]
        case 3:
            return data[:at] + data[at + length :]
        case 4:
            return data[:at] + piece * rng.choice((2, 3, 300)) + data[at + length :]
        case 5:
            other = rng.randint(0, len(data))
            return data[:other] + piece + data[other:]
        case _:
            return data[:at] + head(rng) + data[at:]


def head(rng: Random) -> bytes:
    """The head of a value that claims a length, mostly too much."""
    width = rng.choice((1, 2, 4, 8))
    first = rng.choice((0x40, 0x60, 0x80, 0xA0)) | {1: 24, 2: 25, 4: 26, 8: 27}[width]
    return bytes([first]) + rng.choice((b"\xff" * width, b"\x7f" + b"\xff" * (width - 1), rng.randbytes(width)))


def _new_block(parts: Parts, at: int, block: bytes) -> None:
    """Puts a block in the place of another, its CID and the ops that name it along with it."""
    old, cid = parts.sections[at][0], cid_of(block)
    parts.sections[at] = (cid, block)
    for op in cast("list[Any]", parts.payload["ops"]):
        if isinstance(op, dict) and cast("Any", op).get("cid") == old:
            op["cid"] = cid


def _change_record(parts: Parts, rng: Random) -> None:
    at = _any(parts.sections, rng)
    if parts.sections[at][0] != parts.root:
        _new_block(parts, at, changed(parts.sections[at][1], rng))


def _change_field(parts: Parts, rng: Random) -> None:
    """A record's field becomes something else, or goes."""
    at = _any(parts.sections, rng)
    value: Any = _decoded(parts.sections[at][1])
    if parts.sections[at][0] == parts.root or not isinstance(value, dict) or not value:
        return
    fields = cast("dict[str, Any]", value)
    field = rng.choice(list(fields))
    fields[field] = _value(fields[field], rng)
    _new_block(parts, at, libipld.encode_dag_cbor(fields))


def _value(old: Any, rng: Random) -> Any:
    """Another value than `old`, made of it or not."""
    match rng.randrange(8):
        case 0:
            for _ in range(rng.choice((5, 62, 70, 300))):
                old = [old] if rng.random() < 0.5 else {"a": old}
            return old
        case 1:
            return [old] * _times(old, rng.choice((2, 300, 3000)))
        case 2:
            return {f"k{n}": old for n in range(_times(old, rng.choice((2, 300))))}
        case 3:
            return [CID_DAG_CBOR + bytes(32)] * rng.choice((1, 2, 500))
        case 4:
            return rng.choice(("", "a\0b", "\\u0000", "x" * 3000, "at://did:plc:a/a.b.c/d", "2026-01-01T00:00:00Z"))
        case 5:
            return rng.choice((0, -1, 2**63, -(2**63) - 1, 2**64 - 1, 1.5, True, None))
        case 6:
            return rng.randbytes(rng.choice((0, 1, 36)))
        case _:
            return {"$type": rng.choice(("blob", "", 1)), "ref": CID_DAG_CBOR + bytes(32), "mimeType": "a/b", "size": old}


def _times(value: Any, wanted: int) -> int:
    """So often, but not so that it takes more than 1 MB."""
    return min(wanted, 1 + 2**20 // len(libipld.encode_dag_cbor(value)))


def _repeat_block(parts: Parts, rng: Random) -> None:
    at = _any(parts.sections, rng)
    parts.sections[at:at] = [parts.sections[at]] * rng.choice((1, 2, 100))


def _drop_block(parts: Parts, rng: Random) -> None:
    del parts.sections[_any(parts.sections, rng)]


def _swap_cids(parts: Parts, rng: Random) -> None:
    one, other = _any(parts.sections, rng), _any(parts.sections, rng)
    (cid, block), (other_cid, other_block) = parts.sections[one], parts.sections[other]
    parts.sections[one], parts.sections[other] = (other_cid, block), (cid, other_block)


def _swap_ops_cids(parts: Parts, rng: Random) -> None:
    for op in cast("list[Any]", parts.payload["ops"]):
        if isinstance(op, dict):
            op["cid"] = parts.sections[_any(parts.sections, rng)][0]


def _repeat_ops(parts: Parts, rng: Random) -> None:
    """The same op, or the same block under other keys, up to and over the most that there may be."""
    ops = cast("list[Any]", parts.payload["ops"])
    if ops and isinstance(op := rng.choice(ops), dict):
        path = cast("dict[str, Any]", op).get("path")
        ops += [{**op, "path": f"{path}{n}"} if rng.random() < 0.5 else op for n in range(rng.choice((1, 150, 201)))]


def _change_payload(parts: Parts, rng: Random) -> None:
    field = rng.choice(sorted({*parts.payload, "did", "active", "status", "handle"} - {"blocks"}))
    if rng.random() < 0.3:
        parts.payload.pop(field, None)
    else:
        parts.payload[field] = _value(parts.payload.get(field), rng)


def _change_kind(parts: Parts, rng: Random) -> None:
    parts.header["t"] = rng.choice(("#commit", "#sync", "#identity", "#account", "#info", "#handle", "", 1))


CHANGES: list[Callable[[Parts, Random], None]] = [
    _change_record,
    _change_field,
    _change_field,
    _repeat_block,
    _drop_block,
    _swap_cids,
    _swap_ops_cids,
    _repeat_ops,
    _change_payload,
    _change_kind,
]


def _any(of: list[Section], rng: Random) -> int:
    return rng.randrange(len(of))


def _decoded(block: bytes) -> object:
    try:
        return libipld.decode_dag_cbor(block)
    except (ValueError, RecursionError):
        return None


def _sections(blocks: bytes) -> list[Section]:
    """The sections of a CAR, unchecked."""
    sections: list[Section] = []
    length, at = _varint(blocks, 0)
    at += length
    while at < len(blocks):
        length, at = _varint(blocks, at)
        sections.append((blocks[at : at + 36], blocks[at + 36 : at + length]))
        at += length
    return sections


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while data[at] > 127:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
    return number | data[at] << shift, at + 1
