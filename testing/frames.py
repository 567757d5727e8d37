"""Frames made by hand, and the recorded ones where they are at hand."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import libipld
import pytest

from testing import search_tree

DATA = Path(__file__).parents[1] / "../shared/data"
needs_vectors = pytest.mark.skipif(
    not (DATA / "interop").is_dir(), reason="../shared/data/interop, the official vectors, is absent"
)
needs_recorded = pytest.mark.skipif(not (DATA / "real_frames").is_dir(), reason="../shared/data/real_frames is absent")

DID = "did:plc:aaaabbbbccccddddeeeeffff"
REV = "3mptbypluud2a"  # 2026-07-04T14:38:07Z
TIME = "2026-07-04T14:38:07.517Z"
LIKE = "app.bsky.feed.like"
COMMIT_HEADER = {"op": 1, "t": "#commit"}


def vector(name: str) -> Any:
    """A JSON file of the official vectors."""
    return json.loads((DATA / "interop" / name).read_text())


def vector_lines(name: str) -> list[str]:
    """A text file of the official vectors, without comments; blanks at a line's end count."""
    lines = (DATA / "interop" / name).read_text().split("\n")
    return [line for line in lines if line and not line.startswith("#")]


def recorded(name: str) -> list[bytes]:
    """The frames of a file: 4 bytes of length, big-endian, then the frame."""
    data = (DATA / name).read_bytes()
    frames: list[bytes] = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        frames.append(data[4:end])
        data = data[end:]
    return frames


def encode(value: Any) -> bytes:
    return libipld.encode_dag_cbor(value)


def cid_of(block: bytes, codec: int = 0x71) -> bytes:
    return bytes([1, codec, 0x12, 0x20]) + sha256(block).digest()


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def section(cid: bytes, block: bytes) -> bytes:
    return varint(len(cid) + len(block)) + cid + block


def car(roots: list[bytes], blocks: list[bytes]) -> bytes:
    header = encode({"roots": roots, "version": 1})
    return varint(len(header)) + header + b"".join(section(cid_of(block), block) for block in blocks)


def like(number: int = 0) -> dict[str, Any]:
    return {
        "$type": LIKE,
        "subject": {"uri": f"at://did:plc:zzzz/app.bsky.feed.post/{number}", "cid": "bafyreib2rxk3rybkbj5obbj"},
        "createdAt": TIME,
    }


def frame(payload: Any, header: Any = COMMIT_HEADER) -> bytes:
    return encode(header) + encode(payload)


def commit_payload(
    records: dict[str, Any], *, did: str = DID, rev: str = REV, commit: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    """A sound #commit that creates `records` (path to record); `commit` and `fields` overwrite what it says."""
    record_blocks = {path: encode(record) for path, record in records.items()}
    cids = {path: cid_of(block) for path, block in record_blocks.items()}
    data, nodes = search_tree.build({path.encode(): cid for path, cid in cids.items()})
    signed = {"did": did, "rev": rev, "version": 3, "prev": None, "data": data, "sig": bytes(64)} | (commit or {})
    root = encode(signed)
    ops = [{"action": "create", "path": path, "cid": cid} for path, cid in cids.items()]
    return {
        "seq": 1,
        "repo": did,
        "rev": rev,
        "since": None,
        "time": TIME,
        "commit": cid_of(root),
        "ops": ops,
        "blobs": [],
        "rebase": False,
        "tooBig": False,
        "blocks": car([cid_of(root)], [root, *nodes.values(), *record_blocks.values()]),
    } | fields


def commit_frame(records: dict[str, Any], **changes: Any) -> bytes:
    return frame(commit_payload(records, **changes))
