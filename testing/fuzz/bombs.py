"""Frames of up to 5 MB whose structure asks for far more memory or time than an honest frame of that size."""

from collections.abc import Callable
from typing import Any

from relay_simulator.encoding import car as car_of
from relay_simulator.encoding import car_section, cid_of, encode, signed_commit
from unified_indexer.protocol.frames import MAX_FRAME_BYTES

DID = "did:plc:aaaabbbbccccddddeeeeffff"
REV = "3mptbypluud2a"
TIME = "2026-07-04T14:38:07.517Z"
POST, PROFILE, OTHER = "app.bsky.feed.post", "app.bsky.actor.profile", "com.example.thing"
MOST_BLOCKS = 2 * 2**20
HEADER = encode({"op": 1, "t": "#commit"})
_BEFORE: dict[str, Any] = {"seq": 7, "repo": DID, "rev": REV, "time": TIME, "ops": [], "tooBig": False}


def commit(blocks: list[bytes], ops: list[Any], *, data: bytes = cid_of(b"tree"), **fields: Any) -> bytes:
    """A frame whose commit block, CAR and envelope agree; the blocks get the CIDs that are theirs."""
    signed = signed_commit(DID, REV, data, bytes(64))
    root = cid_of(signed)
    sections = [car_section(root, signed), *(car_section(cid_of(block), block) for block in blocks)]
    payload = _BEFORE | {"commit": root, "blocks": car_of(root, sections), "ops": ops, "blobs": []} | fields
    return HEADER + encode(payload)


def creations(block: bytes, collection: str = OTHER, count: int = 1) -> list[Any]:
    """Operations that all write the same block."""
    return [{"action": "create", "path": f"{collection}/{n}", "cid": cid_of(block)} for n in range(count)]


def record(collection: str = OTHER, /, **fields: Any) -> bytes:
    return encode({"$type": collection, **fields})


def one(block: bytes, collection: str = OTHER) -> bytes:
    return commit([block], creations(block, collection))


def with_tail(tail: bytes) -> bytes:
    """A frame that is no longer than allowed, whose last field begins as `tail`, repeated to the end where that is short."""
    start = HEADER + b"\xa3\x63seq\x07\x64repo\x78\x20" + DID.encode() + b"\x65zzzzz"
    return start + tail[: MAX_FRAME_BYTES - len(start)]


def _full(unit: bytes, head: bytes = b"") -> bytes:
    return with_tail(head + unit * ((MAX_FRAME_BYTES - 100 - len(head)) // len(unit)))


def _list_of(unit: bytes) -> bytes:
    count = (MAX_FRAME_BYTES - 100) // len(unit)
    return with_tail(b"\x9a" + count.to_bytes(4, "big") + unit * count)


def _map_of(keys: int, value: bytes) -> bytes:
    entries = b"".join(b"\x64" + f"{n:04x}"[-4:].encode() + value for n in range(65_536))[: keys * (5 + len(value))]
    return with_tail(b"\xba" + keys.to_bytes(4, "big") + entries)


def _text(length: int) -> bytes:
    """A text of that many bytes, one character of which makes Python take four bytes for each."""
    return b"\x7a" + length.to_bytes(4, "big") + "\U0001f600".encode() + b"a" * (length - 4)


def _tiny_blocks() -> bytes:
    blocks = [bytes([0x19, n >> 8, n & 255]) for n in range(45_000)]
    return commit(blocks, creations(blocks[0], count=200))


def _repeated(block: bytes, collection: str = OTHER) -> bytes:
    return commit([block], creations(block, collection, 200))


def _two(collection: str, field: str, unit: str) -> bytes:
    """Two records under one key, each a text that Python holds with four bytes a character, and JSON with more."""
    blocks = [record(collection, **{field: first + unit * (MEGABYTE // len(unit) - 300)}) for first in "\U0001f600\U0001f601"]
    return commit(blocks, [{**op, "path": f"{collection}/self"} for block in blocks for op in creations(block)])


def _two_of(value: Any) -> bytes:
    blocks = [record(a=value, n=n) for n in range(2)]
    return commit(blocks, [{**op, "path": f"{OTHER}/{n}"} for n, block in enumerate(blocks) for op in creations(block)])


def _wide(values: int, value: Any) -> list[Any]:
    return [value] * values


def _nested(levels: int) -> bytes:
    return b"\xa2\x61a" + b"\x81" * levels + b"\x00\x65$type\x6fcom.example.thing"


MEGABYTE = 2**20 - 200
BOMBS: dict[str, Callable[[], bytes]] = {
    "lists in lists": lambda: _full(b"\x81"),
    "maps in maps": lambda: _full(b"\xa1\x61a"),
    "lists of unknown length": lambda: _full(b"\x9f"),
    "tags in tags": lambda: _full(b"\xd8\x2a"),
    "millions of zeros": lambda: _list_of(b"\x00"),
    "millions of empty maps": lambda: _list_of(b"\xa0"),
    "millions of empty lists": lambda: _list_of(b"\x80"),
    "millions of tiny texts": lambda: _list_of(b"\x61a"),
    "millions of tiny byte strings": lambda: _list_of(b"\x41a"),
    "many links": lambda: _list_of(b"\xd8\x2a\x58\x25\x00" + cid_of(b"x")),
    "many floats": lambda: _list_of(b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x01"),
    "a map of 65,536 keys": lambda: _map_of(65_536, b"\x00"),
    "a map of 49,000 lists": lambda: _map_of(49_000, b"\x80"),
    "claims that nest": lambda: _full(b"\x9a\x00\x0f\x00\x00"),
    "claims of maps that nest": lambda: _full(b"\xba\x00\x0f\x00\x00\x61a"),
    "5 MB of text": lambda: with_tail(_text(MAX_FRAME_BYTES - 200)),
    "a DID of 5 MB": lambda: HEADER + encode(_BEFORE | {"repo": "did:plc:" + "a" * (MAX_FRAME_BYTES - 1000) + "!"}),
    "paths of 5 MB": lambda: commit([], [{"action": "delete", "path": "a." * 12_000 + "b/c"} for _ in range(200)]),
    "a path of 5 MB": lambda: commit([], [{"action": "delete", "path": "a.b.c/\U0001f600" + "d" * (MAX_FRAME_BYTES - 999)}]),
    "95,000 operations": lambda: commit([], [[] for _ in range(95_000)]),
    "45,000 tiny blocks": _tiny_blocks,
    "200 ops on one block of 1 MB": lambda: _repeated(record(text="x" * MEGABYTE)),
    "200 ops on one post of 1 MB": lambda: _repeated(record(POST, text="x" * MEGABYTE, langs=[]), POST),
    "200 ops on one block of 90,000 zeros": lambda: _repeated(record(a=_wide(90_000, 0))),
    "200 ops on one block of 20 kB": lambda: _repeated(record(text="x" * 20_000)),
    "a record of 900,000 zeros": lambda: one(record(a=_wide(900_000, 0))),
    "a record of 99,000 zeros": lambda: one(record(a=_wide(99_000, 0))),
    "a record of 99,000 large numbers": lambda: one(record(a=_wide(99_000, -(2**63)))),
    "a record of 99,000 empty maps": lambda: one(record(a=_wide(99_000, {}))),
    "a record of 25,000 links": lambda: one(record(a=_wide(25_000, cid_of(b"x")))),
    "a record of 99,000 byte strings": lambda: one(record(a=_wide(99_000, b"abc"))),
    "a record of 49,000 keys": lambda: one(record(**{f"k{n}": n for n in range(49_000)})),
    "a record of 49,000 keys with NUL": lambda: one(record(**{f"k\0{n}": n for n in range(49_000)})),
    "a record of 1 MB of NULs": lambda: one(record(a="\0" * MEGABYTE)),
    "a record of 1 MB of control characters": lambda: one(record(a="\x01" * MEGABYTE)),
    "a record of 1 MB of backslashes and u0000": lambda: one(record(a="\\u0000" * (MEGABYTE // 6))),
    "a record that nests 1,000,000 levels": lambda: one(_nested(1_000_000)),
    "a record that nests 390 levels": lambda: one(_nested(390)),
    "a post with 24,000 facets": lambda: one(
        record(POST, text="", facets=_wide(12_000, {"features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "t"}]})), POST
    ),
    "a post with 95,000 tags": lambda: one(record(POST, text="", tags=[f"t{n}" for n in range(95_000)]), POST),
    "a post of 1 MB": lambda: one(record(POST, text="語" * (MEGABYTE // 3 - 100)), POST),
    "two profiles of 1 MB, of characters that JSON escapes": lambda: _two(PROFILE, "description", "\x01"),
    "two profiles of 1 MB, with an escaped NUL": lambda: _two(PROFILE, "description", "\\u0000"),
    "two posts of 1 MB, with an escaped NUL": lambda: _two(POST, "text", "\\u0000"),
    "two lists of links and byte strings": lambda: _two_of([cid_of(b"x"), b"\x01\x71\x12\x20" + bytes(32)] * 12_000),
}
