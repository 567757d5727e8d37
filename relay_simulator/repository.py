"""An account and its repository: drafts of operations go in, a commit's CAR and its truth come out."""

from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import NamedTuple

from relay_simulator import keys, tree
from relay_simulator.encoding import (
    CID_DAG_CBOR,
    Value,
    car,
    car_section,
    cid_of,
    cid_text,
    encode,
    signed_commit,
    tid,
    to_json,
    unsigned_commit,
)
from relay_simulator.records import FOLLOW, LIKE, POST, REPOST, Record
from relay_simulator.truth import Json, OpTruth

NO_SIGNATURE = bytes(64)  # what a cheap commit carries
HISTORIES = 16  # different ones: accounts share them (a tree does not say whose it is), so that many accounts cost little
HISTORY_ENDS = 86_400 * 1_000_000  # µs before the stream: a day, so that no key of the stream comes before it
HISTORY_BEGINS = 2 * 365 * HISTORY_ENDS


class Draft(NamedTuple):
    """An operation on its way into a commit. `fault` as in OpTruth: the block of a 'block_missing' is left out of the CAR."""

    action: str
    collection: str
    rkey: str
    record: Json = None
    cid: bytes | None = None
    block: bytes | None = None
    fault: str | None = None

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.rkey}"

    def truth(self) -> OpTruth:
        cid = cid_text(self.cid) if self.cid is not None else None
        size = len(self.block) if self.block is not None else 0
        return OpTruth(self.action, self.collection, self.rkey, cid, self.record, size, self.fault)

    def op(self, prev: bytes | None = None) -> Record:
        """The operation as a commit message names it; `prev` is what the record was, told of updates and deletes."""
        op: Record = {"action": self.action, "path": self.path, "cid": self.cid}
        return op if prev is None else {**op, "prev": prev}


def written(action: str, collection: str, rkey: str, record: Value) -> Draft:
    """A create or update with this record."""
    block = encode(record)
    return Draft(action, collection, rkey, to_json(record), cid_of(block), block)


class Written(NamedTuple):
    """A record that an account has on the stream; `key` holds the fields that make its unique key, as written."""

    collection: str
    rkey: str
    key: Record


@dataclass(slots=True)
class Account:
    """One account as the stream has left it. `root` is None in cheap mode; `data` is the tree's root CID.

    `active` is whether others see it, whatever its status; `gone`: it will not come back; `singles` are its collections whose
    one record is named 'self'.
    """

    number: int
    did: str
    clock: int
    rev: str | None = None
    last_micros: int = 0
    data: bytes = CID_DAG_CBOR + bytes(32)
    root: tree.Node | None = None
    signer: keys.Signer | None = None
    active: bool = True
    gone: bool = False
    handle: str = ""
    singles: set[str] = field(default_factory=set[str])
    records: list[Written] = field(default_factory=list["Written"])
    history: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.handle = self.handle or f"user{self.number}.simulator.test"

    def own(self, collection: str) -> list[Written]:
        """Its records of this collection."""
        return [record for record in self.records if record.collection == collection]

    def next_tid(self, micros: int) -> str:
        """A TID near this instant that is newer than every one before."""
        self.last_micros = max(self.last_micros + 1, micros)
        return tid(self.last_micros, self.clock)


class Packed(NamedTuple):
    """A commit's bytes and ops, and whether its tree follows from the one before by those."""

    ops: list[Value]
    root: bytes
    data: bytes
    blocks: bytes
    sound: bool


class TreeRepositories:
    """Real repositories: signed commits over Merkle search trees that hold `history` records from before the stream."""

    def __init__(self, seed: int, start_micros: int, history: int) -> None:
        self._seed = seed
        self._start = start_micros
        self._length = history
        self._histories: dict[int, tuple[tuple[str, ...], tree.Node]] = {}

    def open(self, account: Account) -> None:
        """Give a new account its key and the tree it had before the stream."""
        account.signer = keys.signer(self._seed, account.number)
        account.history, account.root = self._history(account.number % HISTORIES)
        account.data = account.root.cid
        if account.history:
            account.rev = tid(self._start - HISTORY_ENDS, account.clock)

    def _history(self, number: int) -> tuple[tuple[str, ...], tree.Node]:
        if number not in self._histories:
            rng = Random(f"history {self._seed} {number}")
            collections = rng.choices((LIKE, POST, FOLLOW, REPOST), (60, 15, 15, 10), k=self._length)
            instants = (self._start - rng.randrange(HISTORY_ENDS, HISTORY_BEGINS) for _ in collections)
            paths = sorted({f"{name}/{tid(at, rng.randrange(1024))}" for name, at in zip(collections, instants, strict=True)})
            entries = [(path.encode(), CID_DAG_CBOR + sha256(path.encode()).digest()) for path in paths]
            self._histories[number] = tuple(paths), tree.build(entries)
        return self._histories[number]

    def pack(self, account: Account, drafts: list[Draft], rev: str, *, keep: bool) -> Packed:
        """Apply the drafts and sign. With `keep` false the account stays as it was (a commit that should not have been)."""
        root = account.root
        if root is None or account.signer is None:
            raise ValueError(f"{account.did} has not been opened")
        sound = True
        ops: list[Value] = []
        for draft in drafts:
            key = draft.path.encode()
            before = tree.find(root, key)
            sound = sound and (before is None) == (draft.action == "create")
            ops.append(draft.op(None if draft.action == "create" else before))
            if draft.cid is not None:
                root = tree.put(root, key, draft.cid)
            elif before is not None:
                root = tree.remove(root, key)
        commit = unsigned_commit(account.did, rev, root.cid)
        commit = signed_commit(account.did, rev, root.cid, account.signer.sign(commit))
        nodes = {node.cid: node.block for draft in drafts for node in tree.proof(root, draft.path.encode())}
        commit_cid = cid_of(commit)
        sections = [car_section(commit_cid, commit), *(car_section(cid, block) for cid, block in nodes.items())]
        if keep:
            account.root = root
        return Packed(ops, commit_cid, root.cid, car(commit_cid, [*sections, *_record_sections(drafts)]), sound and keep)


class CheapRepositories:
    """Commits without tree or signature, filled up with blocks that belong to nothing: fast to make, real in size."""

    def __init__(self, seed: int, padding: int) -> None:
        rng = Random(f"padding {seed}")
        self._fillers = [_filler(rng, rng.randint(padding // 2, padding * 3 // 2)) for _ in range(64)] if padding else [b""]
        self._next = 0

    def open(self, account: Account) -> None:
        """Nothing to prepare."""

    def pack(self, account: Account, drafts: list[Draft], rev: str, *, keep: bool) -> Packed:
        """As TreeRepositories.pack; `data` is made up and never sound."""
        data = CID_DAG_CBOR + sha256(f"{account.did}{rev}".encode()).digest()
        commit = signed_commit(account.did, rev, data, NO_SIGNATURE)
        commit_cid = cid_of(commit)
        self._next = (self._next + 1) % len(self._fillers)
        sections = [car_section(commit_cid, commit), self._fillers[self._next], *_record_sections(drafts)]
        return Packed([draft.op() for draft in drafts], commit_cid, data, car(commit_cid, sections), sound=False)


def _record_sections(drafts: list[Draft]) -> list[bytes]:
    return [
        car_section(draft.cid, draft.block)
        for draft in drafts
        if draft.cid is not None and draft.block is not None and draft.fault != "block_missing"
    ]


def _filler(rng: Random, size: int) -> bytes:
    sections = b""
    while len(sections) < size:
        block = encode(b"\0" + rng.randbytes(rng.randint(300, 900)))  # a byte string that is no CID
        sections += car_section(cid_of(block), block)
    return sections
