"""A commit's payload with something else in it. Payloads are not changed; those that come out are new ones."""

from typing import Any, cast

import libipld

from relay_simulator import tree
from relay_simulator.encoding import (
    CID_LENGTH,
    Value,
    car_section,
    cid_of,
    encode,
    signed_commit,
    unsigned_commit,
    varint,
)
from relay_simulator.forge.told import Told
from relay_simulator.keys import Signer
from relay_simulator.records import Record

Blocks = dict[bytes, bytes]


def forged(told: Told, payload: Record) -> Told:
    """The message with these fields, from which a reader that verifies takes nothing."""
    return Told(told.name, told.payload | payload, None, forged=True)


def blocks_of(payload: Record) -> Blocks:
    """The blocks of a payload's CAR, by CID."""
    packed = cast("bytes", payload["blocks"])
    length, at = _number(packed, 0)
    at += length
    blocks: Blocks = {}
    while at < len(packed):
        length, at = _number(packed, at)
        blocks[packed[at : at + CID_LENGTH]] = packed[at + CID_LENGTH : at + length]
        at += length
    return blocks


def packed(blocks: Blocks, *roots: bytes) -> bytes:
    """A CAR of these blocks, whose CIDs need not be theirs."""
    header = encode({"roots": list(roots), "version": 1})
    return varint(len(header)) + header + b"".join(car_section(cid, block) for cid, block in blocks.items())


def with_blocks(payload: Record, more: Blocks) -> Record:
    """The payload's CAR with these blocks besides, or in the place of those of the same CIDs."""
    return payload | {"blocks": packed(blocks_of(payload) | more, root_of(payload))}


def with_nodes(payload: Record, root: tree.Node, path: str) -> Record:
    """The payload's CAR with the nodes besides that show what is at this path."""
    return with_blocks(payload, {node.cid: node.block for node in tree.proof(root, path.encode())})


def with_commit_block(payload: Record, block: bytes) -> Record:
    """The payload with another commit block in the place of its own."""
    blocks = {cid: other for cid, other in blocks_of(payload).items() if cid != root_of(payload)}
    root = cid_of(block)
    return payload | {"commit": root, "blocks": packed({root: block} | blocks, root)}


def with_ops(payload: Record, *ops: Value) -> Record:
    """The payload with these ops in the place of its own."""
    return {**payload, "ops": list(ops)}


def root_of(payload: Record) -> bytes:
    """The CID of a payload's commit block."""
    return cast("bytes", payload["commit"])


def commit_of(payload: Record) -> dict[str, Any]:
    """What a payload's commit block says."""
    return cast("dict[str, Any]", libipld.decode_dag_cbor(blocks_of(payload)[root_of(payload)]))


def signature_of(payload: Record) -> bytes:
    """The signature of a payload's commit."""
    return cast("bytes", commit_of(payload)["sig"])


def op_of(payload: Record) -> Record:
    """The first op that a payload names."""
    return cast("Record", ops_of(payload)[0])


def ops_of(payload: Record) -> list[Value]:
    """The ops that a payload names."""
    return list(cast("list[Value]", payload["ops"]))


def signed_by(key: Signer, did: str, rev: str, data: bytes) -> bytes:
    """A commit block that this key signs."""
    return signed_commit(did, rev, data, key.sign(unsigned_commit(did, rev, data)))


def _number(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned LEB128 number at a place, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
