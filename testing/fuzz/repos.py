"""Whole repos to be fuzzed: written so that a changed tree still hangs together, and what passes is compared."""

from collections.abc import Iterator
from random import Random
from typing import Any, cast

import libipld

from relay_simulator.encoding import cid_of
from testing import search_tree
from testing.frames import encode
from testing.whole_repos import NOW, OWNER, Made, TemporaryFile
from unified_indexer.protocol.repo import RepoReader
from unified_indexer.protocol.repo_failures import RepoError

LINKS = ("l", "t", "v")
PIECE = 1000


def repo(data: bytes) -> str:
    """DAG-CBOR of a list of blocks, as values; the first is the tree's root. In a node a number in a link's place names a block
    of the list, one that comes later. What is not such a list is taken for a CAR.

    Of what passes, the slow search tree makes the same root.
    """
    value = _value(data)
    if not isinstance(value, list) or not value:
        return _read(data, None)
    blocks: list[bytes] = []
    values = cast("list[object]", value)
    for number in reversed(range(len(values))):
        blocks.insert(0, encode(_linked(values[number], number + 1, blocks)))
    nodes = {cid_of(block): block for block in blocks}
    root = cid_of(blocks[0])
    return _read(Made({}, root, nodes, OWNER.commit(root)).car(), root)


def seeds(count: int = 60) -> Iterator[bytes]:
    """Small repos, and a CAR."""
    for seed in range(count):
        rng = Random(seed)
        name = rng.choice(("app.bsky.feed.like/3k%03d", "a.b.c/%d", "app.bsky.feed.post/%04x"))
        keys = sorted({(name % rng.randrange(2000)).encode() for _ in range(rng.choice((1, 5, 40)))})
        records = [encode({"n": n}) for n in range(3)]
        cids = {key: cid_of(rng.choice(records)) for key in keys}
        root, nodes = search_tree.build(cids)
        if seed % 10 == 0:
            blocks = nodes | {cid_of(block): block for block in records}
            yield Made({}, root, blocks, OWNER.commit(root)).car()
        else:
            yield _listed(root, nodes, {cid_of(block): block for block in records})


def _listed(root: bytes, nodes: dict[bytes, bytes], records: dict[bytes, bytes]) -> bytes:
    order = [root]
    for cid in order:
        node: Any = libipld.decode_dag_cbor(nodes[cid])
        order += [child for child in (node["l"], *(entry["t"] for entry in node["e"])) if child]
    order += records
    places = {cid: place for place, cid in enumerate(order)}

    def numbered(value: Any) -> Any:
        if isinstance(value, list):
            return [numbered(inner) for inner in cast("list[Any]", value)]
        if isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            return {key: places.get(inner, inner) if key in LINKS else numbered(inner) for key, inner in fields.items()}
        return value

    return encode([numbered(libipld.decode_dag_cbor((nodes | records)[cid])) for cid in order])


def _linked(value: Any, first: int, later: list[bytes]) -> Any:
    """A value with the CIDs of later blocks in the place of their numbers."""
    if isinstance(value, list):
        return [_linked(inner, first, later) for inner in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    linked: dict[str, Any] = {}
    for key, inner in fields.items():
        if key in LINKS and type(inner) is int and first <= inner < first + len(later):
            linked[key] = cid_of(later[inner - first])
        else:
            linked[key] = _linked(inner, first, later)
    return linked


def _read(car: bytes, root: bytes | None) -> str:
    reader = RepoReader(OWNER.did, TemporaryFile, NOW)
    try:
        for at in range(0, len(car), PIECE):
            reader.feed(car[at : at + PIECE])
        found = reader.finish(None)
        records = {record.path.encode(): record.cid for records in found.slices() for record in records}
    except RepoError as error:
        return error.failure
    finally:
        reader.close()
    assert len(records) == found.records
    if found.left_out:
        return "sound, and more"
    assert search_tree.build(records)[0] == (root or found.data)
    return "sound"


def _value(data: bytes) -> object:
    try:
        return libipld.decode_dag_cbor(data)
    except (ValueError, RecursionError):
        return None
