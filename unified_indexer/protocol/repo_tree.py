"""The walk through a repo's whole search tree: from the root to each record, in the order of the keys.

Source: https://atproto.com/specs/repository (MST structure). Checked is all that makes the tree the only one of its records:
keys rise, each stands on its own layer and shares with the one before all that it can; a child stands one layer below; no node
is without keys below it. So no node comes twice: its keys would not rise.
"""

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, TypeAlias, cast

from unified_indexer.protocol.block_places import BlockPlaces
from unified_indexer.protocol.car import CID_BYTES
from unified_indexer.protocol.commits import MAX_URI_CHARACTERS
from unified_indexer.protocol.dag_cbor import decode
from unified_indexer.protocol.mst_node import NOT_A_NODE, Entry, layer_of
from unified_indexer.protocol.repo_failures import RepoError, RepoFailure
from unified_indexer.protocol.repo_records import RecordList
from unified_indexer.protocol.syntax import is_record_path

MAX_RECORDS = 10_000_000
MAX_KEY_BYTES = 1024  # a record path has 830 at most
MAX_REPEATED_BYTES = 2**26  # what records may weigh more than the CAR: many keys may name one block

_CHUNK = 500  # records: a step
_Open: TypeAlias = tuple[Iterator[Entry], int, bytes]  # a node: what is left of its entries, its layer, its key before those

_is_record_key = re.compile(rb"(?!\.\.?\Z)[a-zA-Z0-9._:~-]{1,512}").fullmatch  # as syntax.is_record_key


class Walk:
    """Goes from the root to all records and notes where each is. `size`: of the CAR. `read` reads its bytes.

    `left_out` counts records whose keys are no paths, or too long for a URI: they are in the tree, and no row can be theirs.
    """

    def __init__(self, did: str, places: BlockPlaces, read: Callable[[int, int], bytes], size: int, found: RecordList) -> None:
        self.records = 0
        self.left_out = 0
        self._places = places
        self._read = read
        self._found = found
        self._room = size + MAX_REPEATED_BYTES
        self._longest = MAX_URI_CHARACTERS - len(f"at://{did}/")

    def steps(self, root: bytes) -> Iterator[None]:
        """The walk, in steps of some ms. Raises RepoError: `bad_tree`, `missing_block`, `too_many_records`, `too_large`."""
        try:
            yield from self._steps(root)
        except NOT_A_NODE as error:
            raise RepoError(RepoFailure.BAD_TREE, f"no node: {type(error).__name__}") from None

    def _steps(self, root: bytes) -> Iterator[None]:
        first, entries = self._node(root)
        if not entries:
            if first is not None:
                raise _bad("a root without keys")
            return
        find = self._places.find
        open_nodes: list[_Open] = [(iter(entries), layer_of(entries[0]["k"]), b"")]
        self._descend(open_nodes, first, open_nodes[0][1] - 1)
        paths: list[bytes] = []
        places: list[int] = []
        collection = b"/"  # of the last path, with its slash
        last = b""  # the key before, in the whole tree
        seen = 0
        while open_nodes:
            rest, layer, before = open_nodes.pop()
            for entry in rest:
                shared, end, value, child = entry["p"], entry["k"], entry["v"], entry["t"]
                if len(entry) != 4 or type(shared) is not int or not 0 <= shared <= len(before):
                    raise _bad("an entry of other fields, or a prefix longer than the key before it")
                key: bytes = before[:shared] + end
                if key <= last or (shared < len(before) and end[0] == before[shared]) or len(key) > MAX_KEY_BYTES:
                    raise _bad("keys out of order, a shared prefix that is not all they share, or a key too long")
                if sha256(key).digest()[0] < 64 if layer == 0 else layer_of(key) != layer:
                    raise _bad("a key on another layer")
                last = before = key
                at, length = find(value)
                self._room -= length
                seen += 1
                if len(key) > self._longest:
                    self.left_out += 1
                elif (key.startswith(collection) and _is_record_key(key, len(collection))) or is_record_path(_text(key)):
                    collection = key[: key.index(b"/") + 1]
                    paths.append(key)
                    places += (at, length)
                else:
                    self.left_out += 1
                if seen >= _CHUNK:
                    self._take(paths, places)
                    paths, places, seen = [], [], 0
                    yield
                if child is not None:
                    open_nodes.append((rest, layer, key))
                    self._descend(open_nodes, child, layer - 1)
                    break
        self._take(paths, places)

    def _descend(self, open_nodes: list[_Open], cid: bytes | None, layer: int) -> None:
        """Opens the node of a CID and those that come before its first key, the lowest last."""
        while cid is not None:
            if layer < 0:
                raise _bad("a node under the lowest layer")
            cid, entries = self._node(cid)
            if cid is None and not entries:
                raise _bad("a node with nothing in it")
            open_nodes.append((iter(entries), layer, b""))
            layer -= 1

    def _node(self, cid: bytes) -> tuple[bytes | None, list[Entry]]:
        """What stands before a node's first key, and its entries, not yet looked at."""
        at, length = self._places.find(cid)
        fields = cast("dict[str, Any]", decode(self._read(length, at)[CID_BYTES:]))
        first, entries = fields["l"], fields["e"]
        if len(fields) != 2 or type(entries) is not list:
            raise _bad("a node of other fields than two")
        return first, cast("list[Entry]", entries)

    def _take(self, paths: list[bytes], places: list[int]) -> None:
        self.records += len(paths)
        if self.records + self.left_out > MAX_RECORDS:
            raise RepoError(RepoFailure.TOO_MANY_RECORDS, f"more than {MAX_RECORDS:,}")
        if self._room < 0:
            raise RepoError(RepoFailure.TOO_LARGE, "many keys for the same records")
        if paths:
            self._found.append(paths, places)


def _text(key: bytes) -> str:
    """A key as text; no path if it is not ASCII."""
    return key.decode("ascii", "replace")


def _bad(detail: str) -> RepoError:
    return RepoError(RepoFailure.BAD_TREE, detail)
