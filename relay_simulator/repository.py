"""An account and its repository: drafts of operations go in, a commit's CAR and its truth come out."""

from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import NamedTuple

from relay_simulator import keys, tree
from relay_simulator.archive import Archive
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
from relay_simulator.past import Past
from relay_simulator.records import Record
from relay_simulator.truth import Json, OpTruth

NO_SIGNATURE = bytes(64)  # what a cheap commit carries


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
        size = len(self.block) if self.block is not None and self.fault != "block_missing" else 0
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
    """Real repositories: signed commits over Merkle search trees, which go on from the past. The archive keeps them."""

    def __init__(self, seed: int, past: Past, archive: Archive | None = None) -> None:
        self._seed = seed
        self._past = past
        self._archive = archive

    def open(self, account: Account) -> None:
        """Give a new account its key and the tree it had before the stream."""
        account.signer = keys.signer(self._seed, account.number)
        history = self._past.history(account.number)
        account.history, account.root = history.paths, history.root
        account.data = account.root.cid
        account.rev = self._past.rev(account.number)

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
        commit = signed(account.did, rev, root.cid, account.signer)
        shown = [node for draft in drafts for node in tree.proof(root, draft.path.encode())]
        commit_cid = cid_of(commit)
        nodes = {node.cid: node.block for node in shown}
        sections = [car_section(commit_cid, commit), *(car_section(cid, block) for cid, block in nodes.items())]
        if keep:
            self._keep(account, rev, commit, root, drafts, shown)
            account.root = root
        return Packed(ops, commit_cid, root.cid, car(commit_cid, [*sections, *_record_sections(drafts)]), sound and keep)

    def sign(self, account: Account, rev: str) -> bytes:
        """The block of a commit that changes nothing but the rev."""
        if account.root is None or account.signer is None:
            raise ValueError(f"{account.did} has not been opened")
        commit = signed(account.did, rev, account.data, account.signer)
        self._keep(account, rev, commit, account.root, [], [])
        return commit

    def _keep(
        self, account: Account, rev: str, commit: bytes, root: tree.Node, drafts: list[Draft], shown: list[tree.Node]
    ) -> None:
        if self._archive is None or account.root is None:
            return
        before = {node.cid for draft in drafts for node in tree.proof(account.root, draft.path.encode())}
        for node in shown:
            if node.cid not in before:
                node.rev = rev
        records = [(draft.cid, draft.block) for draft in drafts if draft.cid is not None and draft.block is not None]
        old = self._past.history(account.number).blocks
        self._archive.keep(account.did, rev, commit, root, old, records)


def signed(did: str, rev: str, data: bytes, signer: keys.Signer) -> bytes:
    """The block of a commit."""
    return signed_commit(did, rev, data, signer.sign(unsigned_commit(did, rev, data)))


class CheapRepositories:
    """Commits without tree or signature, filled up with blocks that belong to nothing: fast to make, real in size."""

    def __init__(self, seed: int, padding: int) -> None:
        rng = Random(f"padding {seed}")
        self._fillers = [_filler(rng, rng.randint(padding // 2, padding * 3 // 2)) for _ in range(64)] if padding else [b""]
        self._next = 0

    def open(self, account: Account) -> None:
        """Nothing to prepare."""

    def sign(self, account: Account, rev: str) -> bytes:
        """As TreeRepositories.sign, without a signature."""
        return signed_commit(account.did, rev, account.data, NO_SIGNATURE)

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
