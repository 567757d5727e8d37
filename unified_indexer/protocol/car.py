"""CAR files, version 1: bytes in, raw blocks by CID out, with the SHA-256 of every block checked.

Source: https://ipld.io/specs/transport/car/carv1/ and https://atproto.com/specs/repository (CAR file serialization). A CAR is
a header (DAG-CBOR, its length before it as a varint) and sections: a varint length, a CID, a block.
"""

from hashlib import sha256
from typing import Any, cast

import libipld

from unified_indexer.errors import Rejected
from unified_indexer.protocol.dag_cbor import decode

CID_BYTES = 36
DAG_CBOR_PREFIX = b"\x01\x71\x12\x20"  # CIDv1, codec dag-cbor, SHA-256, 32 bytes of digest: records, tree nodes, commits
RAW_PREFIX = b"\x01\x55\x12\x20"  # the same with codec raw: blobs

_MAX_VARINT_BYTES = 4  # 28 bits, far more than any CAR here may hold

# The header that every relay sends, for one root: length 58, {"roots": [link], "version": 1}.
_HEADER_BEFORE_ROOT = b"\x3a\xa2\x65roots\x81\xd8\x2a\x58\x25\x00"
_HEADER_AFTER_ROOT = b"\x67version\x01"
_ROOT_END = len(_HEADER_BEFORE_ROOT) + CID_BYTES
_HEADER_END = _ROOT_END + len(_HEADER_AFTER_ROOT)


def split(car: bytes) -> tuple[list[bytes], dict[bytes, bytes]]:
    """A CAR's roots, and its blocks by CID (36 bytes). Blocks may come in any order, more than once, or not at all.

    Raises Rejected: `bad_car` (not a CAR version 1, or cut short), `block_hash_mismatch`, `unsupported_cid` (a CID that is not
    version 1 with SHA-256 and codec dag-cbor or raw).
    """
    try:
        if car.startswith(_HEADER_BEFORE_ROOT) and car.startswith(_HEADER_AFTER_ROOT, _ROOT_END):
            roots, at = [car[_ROOT_END - CID_BYTES : _ROOT_END]], _HEADER_END
        else:
            roots, at = read_header(car)
        return roots, _blocks(car, at)
    except IndexError:
        raise Rejected("bad_car", "ends within a length") from None


def _blocks(car: bytes, at: int) -> dict[bytes, bytes]:
    blocks: dict[bytes, bytes] = {}
    size = len(car)
    digest_of = sha256
    prefix = DAG_CBOR_PREFIX
    while at < size:
        length = car[at]
        if length < 128:
            at += 1
        elif (high := car[at + 1]) < 128:
            length += (high << 7) - 128
            at += 2
        else:
            length, at = read_varint(car, at)
        end = at + length
        start = at + CID_BYTES
        cid = car[at:start]
        block = car[start:end]
        if cid != prefix + digest_of(block).digest() or start > end:
            check_section(cid, block, length, size - at)
        blocks[cid] = block
        at = end
    if at > size:  # the last block is sound, but its length says more
        raise Rejected("bad_car", "the last section is longer than the file")
    return blocks


def check_section(cid: bytes, block: bytes, length: int, available: int) -> None:
    """Judges a section that is not a plain DAG-CBOR block: raises Rejected, as `split`, unless it is a sound raw one."""
    if length > available:
        raise Rejected("bad_car", f"a section of {length} bytes where {available} are left")
    if length < CID_BYTES or not cid.startswith((DAG_CBOR_PREFIX, RAW_PREFIX)):
        raise Rejected("unsupported_cid", cid[:length].hex())
    if cid[4:] != sha256(block).digest():
        raise Rejected("block_hash_mismatch", libipld.encode_cid(cid))


def read_header(car: bytes) -> tuple[list[bytes], int]:
    """A CAR's roots, and where its sections begin. Raises Rejected (`bad_car`), or IndexError where a length is cut short."""
    length, at = read_varint(car, 0)
    try:
        header = decode(car[at : at + length])
    except (ValueError, RecursionError) as error:
        raise Rejected("bad_car", f"header: {error}"[:200]) from None
    if not isinstance(header, dict) or length > len(car) - at:
        raise Rejected("bad_car", "the header is not a map")
    fields = cast("dict[str, Any]", header)
    roots: object = fields.get("roots")
    version: object = fields.get("version")
    if type(version) is not int or version != 1 or not isinstance(roots, list):
        raise Rejected("bad_car", "not a CAR of version 1")
    cids = cast("list[object]", roots)
    return [cid for cid in cids if isinstance(cid, bytes)], at + length


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned LEB128 number at `at`, and where it ends.

    Raises Rejected (`bad_car`: of more than four bytes), or IndexError at the end of the data.
    """
    number = 0
    for i in range(_MAX_VARINT_BYTES):
        byte = data[at + i]
        number |= (byte & 127) << 7 * i
        if byte < 128:
            return number, at + i + 1
    raise Rejected("bad_car", f"a length of more than {_MAX_VARINT_BYTES} bytes")
