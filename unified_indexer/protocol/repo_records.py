"""The records of a proven repo, in the order of their URIs, while the blocks stay where the CAR was spooled."""

from array import array
from collections.abc import Callable, Iterator
from struct import Struct
from typing import NamedTuple

from unified_indexer.protocol.car import CID_BYTES
from unified_indexer.protocol.repo_failures import RepoError, RepoFailure
from unified_indexer.protocol.spool import File, Spool

MAX_PATHS_BYTES = 2**30  # of all paths; keys share their beginnings, so that a CAR of 2 GiB could name far more
MOST_SLICE_BYTES = 4 * 2**20  # of a slice's blocks; one record more may come on top

_head = Struct("<II")  # how many records a chunk has, and how many bytes their paths


class RepoRecord(NamedTuple):
    """`path`: collection/rkey. `cid`: 36 bytes. `block`: the record's DAG-CBOR, which is what its CID says."""

    path: str
    cid: bytes
    block: bytes


class RecordList:
    """Where each record's block is, chunk by chunk as the tree was walked."""

    def __init__(self, open_file: Callable[[], File]) -> None:
        self._spool = Spool(open_file)
        self._paths_bytes = 0

    def append(self, paths: list[bytes], places: list[int]) -> None:
        """A chunk: of each record the path, and two numbers, its CID's offset and the bytes of CID and block.

        Raises RepoError (`too_large`).
        """
        names = b"\n".join(paths)
        self._paths_bytes += len(names)
        if self._paths_bytes > MAX_PATHS_BYTES:
            raise RepoError(RepoFailure.TOO_LARGE, f"more than {MAX_PATHS_BYTES:,} bytes of paths")
        self._spool.append(_head.pack(len(paths), len(names)) + array("I", places).tobytes() + names)

    def slices(self, size: int, read: Callable[[int, int], bytes]) -> Iterator[list[RepoRecord]]:
        """The records, `size` of them at a time, fewer where their blocks come to some MiB. `read` reads the CAR."""
        records: list[RepoRecord] = []
        weight = 0
        for paths, places in self._chunks():
            for number, path in enumerate(paths):
                length = places[2 * number + 1]
                data = read(length, places[2 * number])
                records.append(RepoRecord(path, data[:CID_BYTES], data[CID_BYTES:]))
                weight += length
                if len(records) >= size or weight >= MOST_SLICE_BYTES:
                    yield records
                    records, weight = [], 0
        if records:
            yield records

    def close(self) -> None:
        """Let go of all of it."""
        self._spool.close()

    def _chunks(self) -> "Iterator[tuple[list[str], array[int]]]":
        read = self._spool.reader()
        at = 0
        while at < self._spool.size:
            count, length = _head.unpack(read(_head.size, at))
            body = read(8 * count + length, at + _head.size)
            places = array("I")
            places.frombytes(body[: 8 * count])
            yield body[8 * count :].decode().split("\n"), places
            at += _head.size + len(body)
