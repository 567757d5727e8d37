"""Whole repositories as a host sends them: right, or false in one thing, or in a way that tries the reader's patience."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from aiohttp import web

from relay_simulator import keys, tree
from relay_simulator.archive import Block, BlockOrder, Snapshot
from relay_simulator.encoding import CID_RAW, car, car_section, tid
from relay_simulator.hosts.faults import Altered
from relay_simulator.past import micros_of
from relay_simulator.repository import signed

PIECE = 65_536  # bytes at least that are handed to the socket at once, as the PDS of atproto does
PAGE = 500  # blocks that a PDS reads from its database at once
DRIP = 1_000  # bytes a second
TICK = 0.1  # seconds
HOUR = 3_600 * 1_000_000  # µs
_NOBODY = keys.signer(0, 1_000_000)
_PADDING = bytes(1_000_000)


class Source(NamedTuple):
    """A repository and what signs for it: its key, and the one that it would have next."""

    snapshot: Snapshot
    key: keys.Signer
    next_key: keys.Signer


Signed: TypeAlias = Callable[[Source], Snapshot]
Sent: TypeAlias = Callable[[Snapshot, list[Block]], list[Block]]


def answer(request: web.Request, source: Source, order: BlockOrder, alteration: Altered | None) -> web.Response:
    """The repository as a CAR, gzipped if the client takes that."""
    name, value = (alteration.name, alteration.value) if alteration is not None else ("", None)
    snapshot = SIGNED[name](source) if name in SIGNED else source.snapshot
    blocks = snapshot.blocks(order)
    blocks = SENT[name](snapshot, blocks) if name in SENT else blocks
    sections = [car(snapshot.commit, ()), *(car_section(cid, block) for cid, block in blocks)]
    if name == "bomb":
        headers = {"Content-Encoding": "gzip"}
        return web.Response(body=_bomb(sections), headers=headers, content_type="application/vnd.ipld.car")
    body = _flowing(request, sections, name, value)
    response = web.Response(body=body, content_type="application/vnd.ipld.car")
    held_back = name in ("drip", "stall", "reset")  # by a packer, which gives nothing before it has enough
    if "gzip" in request.headers.get("Accept-Encoding", "") and not held_back:
        response.enable_compression(web.ContentCoding.gzip)
    return response


async def _flowing(request: web.Request, sections: list[bytes], name: str, value: int | None) -> AsyncIterator[bytes]:
    size = sum(map(len, sections))
    match name:
        case "endless":
            for piece in _pieces(_endless(sections)):
                yield piece
                await asyncio.sleep(0)
        case "drip":
            whole, rate = b"".join(sections), value or DRIP
            step = max(1, int(rate * TICK))
            for at in range(0, size, step):
                yield whole[at : at + step]
                await asyncio.sleep(TICK)
        case "stall" | "reset":
            yield b"".join(sections)[: size // 2 if value is None else value]
            if name == "stall":
                await asyncio.Event().wait()
            if request.transport is not None:
                request.transport.abort()
        case _:
            for piece in _pieces(_cut(sections, size, name)):
                yield piece


def _cut(sections: list[bytes], size: int, name: str) -> Iterable[bytes]:
    """The sections, less of them where this is the name of a cut. The body ends there as if it were whole."""
    half = len(sections) // 2
    match name:
        case "cut-block":
            return sections[: half + 1]
        case "cut-varint":
            return [*sections[: half + 1], b"\x80"]
        case "cut-90":
            return [b"".join(sections)[: size * 9 // 10]]
        case _:
            return sections


def _pieces(sections: Iterable[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for section in sections:
        waiting.append(section)
        size += len(section)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _endless(sections: list[bytes]) -> Iterator[bytes]:
    """The repository, and behind it a block that belongs to nothing, again and again."""
    yield from sections
    section = _extra()
    while True:
        yield section


async def _bomb(sections: list[bytes]) -> AsyncIterator[bytes]:
    """The same, compressed: a kilobyte for each megabyte."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    yield packer.compress(b"".join(sections)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(_extra()) + packer.flush(zlib.Z_FULL_FLUSH)  # which refers to nothing before it
    while True:
        yield again
        await asyncio.sleep(0)


def _extra() -> bytes:
    return car_section(CID_RAW + sha256(_PADDING).digest(), _PADDING)


def _without_last(root: tree.Node) -> tree.Node:
    """The tree without its last record, if it has any."""
    last = max((node.keys[place] for node, place in tree.walk(root) if place is not None), default=None)
    return tree.remove(root, last) if last is not None else root


def _resigned(
    source: Source, key: keys.Signer, *, did: str | None = None, rev: str | None = None, less: bool = False
) -> Snapshot:
    """The repository under another commit; `less`: without its last record."""
    old = source.snapshot
    did, rev = did or old.did, rev or old.rev
    root = _without_last(old.root) if less else old.root
    return replace(old, did=did, rev=rev, root=root, block=signed(did, rev, root.cid, key))


def _nodes(snapshot: Snapshot) -> set[bytes]:
    return {node.cid for node, place in tree.walk(snapshot.root) if place is None}


def _missing_node(snapshot: Snapshot, blocks: list[Block]) -> list[Block]:
    nodes = _nodes(snapshot)
    inner = [cid for cid, _ in blocks if cid in nodes and cid != snapshot.root.cid] or [snapshot.root.cid]
    return [block for block in blocks if block[0] != inner[-1]]


def _records(snapshot: Snapshot, blocks: list[Block]) -> list[bytes]:
    """The CIDs of the records' blocks. An empty repository can't lack one."""
    nodes = _nodes(snapshot)
    return [cid for cid, _ in blocks if cid not in nodes and cid != snapshot.commit]


def _missing_record(snapshot: Snapshot, blocks: list[Block]) -> list[Block]:
    last = _records(snapshot, blocks)[-1:]
    return [block for block in blocks if block[0] not in last]


def _wrong_hash(snapshot: Snapshot, blocks: list[Block]) -> list[Block]:
    last = _records(snapshot, blocks)[-1:]
    return [(cid, block[:-1] + bytes([block[-1] ^ 1])) if cid in last else (cid, block) for cid, block in blocks]


def _torn(snapshot: Snapshot, blocks: list[Block]) -> list[Block]:
    """A record is deleted while the pages are read: of what that replaced, the later pages have nothing."""
    page = min(PAGE, len(blocks) // 2)
    later = dict(blocks[page:])
    places = ((node.keys[place], node.values[place]) for node, place in tree.walk(snapshot.root) if place is not None)
    deleted = next((key for key, cid in places if cid in later), None)
    if deleted is None:
        return blocks
    after = replace(snapshot, root=tree.remove(snapshot.root, deleted))
    left = {cid for cid, _ in after.blocks()} | {snapshot.commit}
    return [block for place, block in enumerate(blocks) if place < page or block[0] in left]


SIGNED: dict[str, Signed] = {
    "wrong-did": lambda source: _resigned(source, source.key, did="did:plc:zzzzzzzzzzzzzzzzzzzzzzzz"),
    "old-rev": lambda source: _resigned(source, source.key, rev=tid(micros_of(source.snapshot.rev) - HOUR, 0), less=True),
    "future-rev": lambda source: _resigned(source, source.key, rev=tid(int(time.time() * 1_000_000) + HOUR, 0)),
    "fork": lambda source: _resigned(source, source.key, less=True),
    "bad-signature": lambda source: _resigned(source, _NOBODY),
    "next-key": lambda source: _resigned(source, source.next_key),
}
"""Repositories that are whole, but not the right ones. 'old-rev' and 'fork' lack a record; 'next-key' is signed by a key that
the directory does not know yet.
"""
SENT: dict[str, Sent] = {
    "missing-node": _missing_node,
    "missing-record": _missing_record,
    "wrong-hash": _wrong_hash,
    "torn": _torn,
    "extra": lambda _, blocks: [*blocks[:1], (CID_RAW + sha256(b"extra").digest(), b"extra"), *blocks[1:]],
    "doubled": lambda _, blocks: [*blocks, *blocks],
}
"""Blocks that are missing, wrong, or too many. 'torn': a write came between two pages of the answer."""
FLOWING = ("cut-block", "cut-varint", "cut-90", "endless", "bomb", "drip", "stall", "reset")
"""How the bytes come. The cuts end as if all were well. The value of 'drip' is bytes a second; that of 'stall' and 'reset' is
after how many bytes.
"""
ALTERATIONS = (*SIGNED, *SENT, *FLOWING)
