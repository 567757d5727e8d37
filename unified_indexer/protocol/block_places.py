"""Where the blocks of a CAR lie in its bytes, by their CIDs, in 8 bytes a block: millions of them fit into memory."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator

from unified_indexer.protocol.car import CID_BYTES, DAG_CBOR_PREFIX, read_varint
from unified_indexer.protocol.repo_failures import RepoError, RepoFailure

MAX_BLOCKS = 13_500_000  # 115 MB of places; ten million records have two and a half million nodes above them

_OFFSET_BITS = 31
_OFFSET_MASK = 2**_OFFSET_BITS - 1
_HASH_MASK = 2**33 - 1
_FEW = 2**18  # blocks, which a dict of 30 MB takes: it finds them faster
_STEP = 2**12  # blocks
_BUCKETS = 2**12
_BUCKET_SHIFT = 64 - 12
_MOST_IN_A_BUCKET = 2**14  # five times its share of MAX_BLOCKS: so many are one block again and again
_HEAD_BYTES = 4 + CID_BYTES  # a section's length and CID
_HEAD_END = 2 + CID_BYTES  # the same, after a length of two bytes

Place = tuple[int, int]  # the offset of a block's CID, and the bytes of CID and block


class BlockPlaces:
    """An entry a block: a hash of its CID, 33 bits, above the offset of its section, 31 bits. Many are sorted, in buckets.

    The hashes are Python's own, keyed with a secret of the process: nobody can send blocks that have the same one. Some have by
    chance, and what is absent may have that of a block: so the CID at a place is compared.
    """

    def __init__(self) -> None:
        self._count = 0
        self._recent = array("Q")
        self._buckets: list[array[int]] = []
        self._few: dict[int, int] = {}
        self._others: dict[int, list[int]] = {}  # the further places of a hash
        self._read: Callable[[int, int], bytes] = _nothing
        self.append = self._recent.append  # of an entry

    def settle(self) -> None:
        """Takes in some of what was appended. Raises RepoError (`too_many_blocks`)."""
        if not self._buckets and len(self._recent) <= _FEW:
            return
        if self._count + len(self._recent) > MAX_BLOCKS:
            raise RepoError(RepoFailure.TOO_MANY_BLOCKS, f"more than {MAX_BLOCKS:,}")
        if not self._buckets:
            self._buckets = [array("Q") for _ in range(_BUCKETS)]
        self._move()

    def order(self, read: Callable[[int, int], bytes]) -> Iterator[None]:
        """Makes it ready to find blocks in what `read` reads (a size, an offset), step by step.

        Raises RepoError (`too_many_blocks`, if one block came very often).
        """
        self._read = read
        if not self._buckets:
            for start in range(0, len(self._recent), _STEP):
                self._keep(self._recent[start : start + _STEP])
                yield
        while self._buckets and self._recent:
            self._move()
            yield
        room = _STEP
        for number, bucket in enumerate(self._buckets):
            if len(bucket) > _MOST_IN_A_BUCKET:
                raise RepoError(RepoFailure.TOO_MANY_BLOCKS, "one block many times")
            self._buckets[number] = array("Q", sorted(bucket))
            room -= len(bucket)
            if room < 0:
                room = _STEP
                yield

    def find(self, cid: bytes) -> Place:
        """Where the block of this CID is. Raises RepoError (`missing_block`; `bad_tree` for what is no CID of such a block)."""
        at = self._few.get(hash(cid) & _HASH_MASK)
        if at is not None:
            head = self._read(_HEAD_BYTES, at)
            if head[2:_HEAD_END] == cid:  # after a length of two bytes, as that of nearly all records
                return at + 2, (head[0] & 127) + (head[1] << 7)
        for at in self._places(hash(cid) & _HASH_MASK):
            head = self._read(_HEAD_BYTES, at)
            length, start = read_varint(head, 0)
            if head[start : start + CID_BYTES] == cid:
                return at + start, length
        if type(cid) is not bytes or len(cid) != CID_BYTES or not cid.startswith(DAG_CBOR_PREFIX):
            raise RepoError(RepoFailure.BAD_TREE, "a link that is no CID of a block")
        raise RepoError(RepoFailure.MISSING_BLOCK, cid.hex())

    def _move(self) -> None:
        """Moves entries into their buckets: not all at once, for there may be 262,144 at first."""
        moved = self._recent[-_STEP:]
        del self._recent[-_STEP:]
        self._count += len(moved)
        buckets = self._buckets
        for entry in moved:
            buckets[entry >> _BUCKET_SHIFT].append(entry)

    def _keep(self, entries: "array[int]") -> None:
        few = self._few
        for entry in entries:
            at = entry & _OFFSET_MASK
            if few.setdefault(entry >> _OFFSET_BITS, at) != at:
                self._others.setdefault(entry >> _OFFSET_BITS, []).append(at)

    def _places(self, key: int) -> Iterator[int]:
        """The offsets of all sections whose CID has this hash."""
        if not self._buckets:
            if key in self._few:
                yield self._few[key]
            yield from self._others.get(key, ())
            return
        entry = key << _OFFSET_BITS
        bucket = self._buckets[entry >> _BUCKET_SHIFT]
        number = bisect_left(bucket, entry)
        while number < len(bucket) and (at := bucket[number] - entry) <= _OFFSET_MASK:
            yield at
            number += 1


def entry_of(cid: bytes, at: int) -> int:
    """The entry of a block whose section begins at `at`."""
    return (hash(cid) & _HASH_MASK) << _OFFSET_BITS | at


def _nothing(_size: int, _at: int) -> bytes:
    return b""
