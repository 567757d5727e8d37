"""A whole repo as com.atproto.sync.getRepo sends it: a CAR read piece by piece, then proven to be all that its account signed.

Sources: https://atproto.com/specs/repository (repository structure, commit objects, MST structure, CAR file serialization) and
the lexicon com.atproto.sync.getRepo. Blocks come in any order, and a CAR that is cut between two of them looks well-formed:
only the walk through the tree, down to each record, shows that nothing is missing.

    reader = RepoReader(did, open_file, now)
    reader.feed(piece)              # of any size, 5 ms of CPU a MiB; `reader.head` soon says which commit it is
    for _ in reader.prove(key):     # steps of some ms each
        ...
    with reader.repo() as repo:
        for records in repo.slices():  # in the order of their URIs
            ...

Memory: 8 MiB of the CAR and as much of its list of records, whatever is more goes into the files; 8 bytes a block until the end
of the proof. The files hold up to `MAX_BYTES` and half as much again.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple, Self

from unified_indexer.errors import Rejected
from unified_indexer.protocol.block_places import BlockPlaces, entry_of
from unified_indexer.protocol.car import CID_BYTES, DAG_CBOR_PREFIX, check_section, read_header, read_varint
from unified_indexer.protocol.commits import MAX_AHEAD
from unified_indexer.protocol.keys import SigningKey
from unified_indexer.protocol.repo_failures import RepoError, RepoFailure
from unified_indexer.protocol.repo_records import RecordList, RepoRecord
from unified_indexer.protocol.repo_tree import Walk
from unified_indexer.protocol.signature import SignedCommit, read_commit
from unified_indexer.protocol.spool import File, Spool
from unified_indexer.protocol.syntax import is_tid, tid_time

MAX_BYTES = 2**31 - 1  # of a CAR: what an offset of 31 bits reaches
MAX_BLOCK_BYTES = 2 * 2**20  # records have 1 MB at most; what is longer is never held in memory
MAX_HEADER_BYTES = 4096  # one root takes 59

_HEADER_START = b"\x3a\xa2\x65roots"


class Head(NamedTuple):
    """What the commit says, before anything else is known to be true. `data`: the CID of the tree's root."""

    did: str
    rev: str
    data: bytes


class Repo:
    """A proven repo: a context manager that frees its files.

    `records` are those that `slices` gives, `left_out` those whose keys are no paths or too long for a URI. `size`: the CAR's
    bytes. `signed`: whether a key was there to check the signature. `in_file`: whether a slice may wait for a disk.
    """

    def __init__(
        self, head: Head, walk: Walk, car: Spool, found: RecordList, on_close: Callable[[], object], *, signed: bool
    ) -> None:
        self.did, self.rev, self.data = head
        self.records = walk.records
        self.left_out = walk.left_out
        self.size = car.size
        self.signed = signed
        self.in_file = car.in_file
        self._car = car
        self._found = found
        self._on_close = on_close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def slices(self, size: int = 500) -> Iterator[list[RepoRecord]]:
        """All records in the order of their URIs, at most `size` in a list and some MiB of blocks; again at each call."""
        return self._found.slices(size, self._car.reader())

    def close(self) -> None:
        """Free the files and the memory."""
        self._car.close()
        self._found.close()
        self._on_close()


class RepoReader:
    """Takes the CAR of one account's repo. `open_file`: for what does not fit in memory. `now`: by which revs are measured.
    `on_close` is called at each `close`, of the repo too.

    All methods raise RepoError. After one, and when the repo is not wanted any more, `close` frees the files.
    """

    def __init__(
        self, did: str, open_file: Callable[[], File], now: datetime, on_close: Callable[[], object] = lambda: None
    ) -> None:
        self.head: Head | None = None  # known as soon as the commit has come
        self.size = 0  # bytes that were fed
        self._did = did
        self._latest = now + MAX_AHEAD
        self._on_close = on_close
        self._car = Spool(open_file)
        self._found = RecordList(open_file)
        self._places = BlockPlaces()
        self._root = b""
        self._commit: SignedCommit | None = None
        self._rest = bytearray()  # what is no whole section yet
        self._wanted = 1  # as many bytes as make looking at them worth while
        self._repo: Repo | None = None

    @property
    def in_memory(self) -> int:
        """How many bytes of the CAR are in memory."""
        return self._car.in_memory + len(self._rest)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes: blocks are hashed and kept as soon as they are whole.

        Raises RepoError: `bad_car`, `no_root`, `several_roots`, `block_hash_mismatch`, `unsupported_cid`, `too_large`,
        `too_many_blocks`; from the commit on `bad_commit_block`, `unsupported_repo_version`, `bad_signature`, `did_mismatch`,
        `bad_rev`, `rev_in_future`.
        """
        self.size += len(piece)
        if self.size > MAX_BYTES:
            raise RepoError(RepoFailure.TOO_LARGE, f"more than {MAX_BYTES:,} bytes")
        self._rest += piece
        if len(self._rest) < self._wanted:
            return
        data = bytes(self._rest)
        try:
            end = self._sections(data) if self._root else self._header(data)
        except Rejected as rejected:
            raise RepoError(RepoFailure(rejected.reason), rejected.detail) from None
        self._car.append(memoryview(data)[:end])
        self._places.settle()
        del self._rest[:end]

    def signed_by(self, key: SigningKey) -> bool:
        """Whether `key` signed the commit, as soon as `head` is known."""
        return self._commit is not None and self._commit.signed_by(key)

    def prove(self, key: SigningKey | None) -> Iterator[None]:
        """The proof, in steps of some ms of CPU each; all bytes have been fed. `key`: None if the signature is not checked.

        Raises RepoError: `bad_car`, `truncated`, `missing_block`, `bad_signature`, `bad_tree`, `too_many_records`,
        `too_many_blocks`, `too_large`.
        """
        if self._rest:
            is_car = self._root or _HEADER_START.startswith(self._rest[: len(_HEADER_START)])
            raise RepoError(RepoFailure.TRUNCATED if is_car else RepoFailure.BAD_CAR, "ends within a length, header or block")
        if self.head is None or self._commit is None:
            raise RepoError(RepoFailure.MISSING_BLOCK if self._root else RepoFailure.TRUNCATED, "the commit is absent")
        if key is not None and not self._commit.signed_by(key):
            raise RepoError(RepoFailure.BAD_SIGNATURE)
        read = self._car.reader()
        yield from self._places.order(read)
        walk = Walk(self._did, self._places, read, self.size, self._found)
        yield from walk.steps(self.head.data)
        self._places = BlockPlaces()
        self._repo = Repo(self.head, walk, self._car, self._found, self._on_close, signed=key is not None)

    def repo(self) -> Repo:
        """The repo, after all steps of the proof. It is closed by who has it, or by the reader's `close`."""
        assert self._repo is not None
        return self._repo

    def finish(self, key: SigningKey | None) -> Repo:
        """All steps at once, and the repo."""
        for _ in self.prove(key):
            pass
        return self.repo()

    def close(self) -> None:
        """Free the files and the memory, those of the repo too."""
        self._car.close()
        self._found.close()
        self._places = BlockPlaces()
        self._on_close()

    def _header(self, data: bytes) -> int:
        """Reads the header, and what follows; where the bytes end that are taken."""
        try:
            length, at = read_varint(data, 0)
            if length > MAX_HEADER_BYTES:
                raise RepoError(RepoFailure.BAD_CAR, f"a header of {length} bytes")
            self._wanted = at + length
            if len(data) < self._wanted:
                return 0
            roots, at = read_header(data)
        except IndexError:
            self._wanted = len(data) + 1
            return 0
        if len(roots) != 1:
            raise RepoError(RepoFailure.SEVERAL_ROOTS if roots else RepoFailure.NO_ROOT, f"{len(roots)} roots")
        self._root = roots[0]
        return self._sections(data, at)

    def _sections(self, data: bytes, at: int = 0) -> int:
        """Hashes and notes all whole sections of `data`; where they end."""
        base, size = self._car.size, len(data)
        prefix, root, append = DAG_CBOR_PREFIX, self._root, self._places.append
        while at < size:
            start = at
            length = data[at]
            if length < 128:
                at += 1
            elif at + 1 < size and data[at + 1] < 128:
                length += (data[at + 1] << 7) - 128
                at += 2
            else:
                try:
                    length, at = read_varint(data, at)
                except IndexError:
                    self._wanted = size - start + 1
                    return start
                if length > MAX_BLOCK_BYTES:
                    raise RepoError(RepoFailure.TOO_LARGE, f"a block of {length:,} bytes")
            end = at + length
            if end > size:
                self._wanted = end - start
                return start
            body = at + CID_BYTES
            cid = data[at:body]
            if cid != prefix + sha256(data[body:end]).digest() or body > end:
                check_section(cid, data[body:end], length, length)
            else:
                append(entry_of(cid, base + start))
                if cid == root and self._commit is None:
                    self._read_commit(data[body:end])
            at = end
        self._wanted = 1
        return at

    def _read_commit(self, block: bytes) -> None:
        commit = read_commit(block)
        if commit.did != self._did:
            raise RepoError(RepoFailure.DID_MISMATCH)
        if type(commit.rev) is not str or not is_tid(commit.rev):
            raise RepoError(RepoFailure.BAD_REV)
        if tid_time(commit.rev) > self._latest:
            raise RepoError(RepoFailure.REV_IN_FUTURE, f"rev {commit.rev}")
        if type(commit.data) is not bytes or len(commit.data) != CID_BYTES or not commit.data.startswith(DAG_CBOR_PREFIX):
            raise RepoError(RepoFailure.BAD_COMMIT_BLOCK, "data is no link to a tree")
        self._commit = commit
        self.head = Head(self._did, commit.rev, commit.data)
