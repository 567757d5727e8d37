"""Whole repos for tests: signed by the simulator's accounts, as CARs in any order, sound or with something wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from relay_simulator import keys
from relay_simulator.encoding import car, car_section, cid_of, signed_commit, tid, unsigned_commit
from testing import search_tree
from testing.signed import SEED, START
from unified_indexer.backfill import files
from unified_indexer.protocol.keys import SigningKey, signing_key
from unified_indexer.protocol.repo import Repo, RepoReader

NOW = datetime.fromtimestamp(START / 1e6, UTC)
REV = tid(START, 3)

Block = tuple[bytes, bytes]  # CID, block


class TemporaryFile(files.TemporaryFile):
    """The worker's own; `open_files` counts those that were not closed."""

    open_files = 0

    def __init__(self) -> None:
        super().__init__()
        self._is_open = True
        TemporaryFile.open_files += 1

    def close(self) -> None:
        TemporaryFile.open_files -= self._is_open
        self._is_open = False
        super().close()


@dataclass(frozen=True, slots=True)
class Account:
    """Who signs: one of the simulator's accounts."""

    number: int = 0

    @property
    def did(self) -> str:
        return keys.did(SEED, self.number)

    @property
    def key(self) -> SigningKey:
        return signing_key(self.did, keys.did_document(self.did, "whole.test", keys.signer(SEED, self.number)))

    def commit(self, data: bytes, *, rev: str = REV, did: str | None = None) -> bytes:
        """A commit block that it signs, whatever it says."""
        unsigned = unsigned_commit(did or self.did, rev, data)
        return signed_commit(did or self.did, rev, data, keys.signer(SEED, self.number).sign(unsigned))


OWNER = Account()


@dataclass(slots=True)
class Made:
    """A repo's parts, to be put together as they are or otherwise."""

    records: dict[bytes, bytes]  # path -> block
    root: bytes  # of the tree
    nodes: dict[bytes, bytes]
    commit: bytes

    def blocks(self) -> list[Block]:
        """Commit, nodes, records: each once."""
        found = {cid_of(self.commit): self.commit} | self.nodes | {cid_of(block): block for block in self.records.values()}
        return list(found.items())

    def car(self, blocks: list[Block] | None = None) -> bytes:
        """The CAR with these blocks, or all."""
        return car(cid_of(self.commit), [car_section(*block) for block in (self.blocks() if blocks is None else blocks)])

    def shuffled(self, rng: Random) -> bytes:
        blocks = self.blocks()
        rng.shuffle(blocks)
        return self.car(blocks)


def made(
    records: Mapping[bytes, bytes],
    *,
    account: Account = OWNER,
    rev: str = REV,
    did: str | None = None,
    tree: tuple[bytes, dict[bytes, bytes]] | None = None,
) -> Made:
    """A repo of these records (path -> block), over their tree or another (root and nodes)."""
    root, nodes = tree or search_tree.build({path: cid_of(block) for path, block in records.items()})
    return Made(dict(records), root, nodes, account.commit(root, rev=rev, did=did))


def read(
    data: bytes, *, pieces: int = 65_536, key: SigningKey | None = None, open_file: Callable[[], TemporaryFile] = TemporaryFile
) -> Repo:
    """The repo of a CAR that comes in pieces, its signature checked by `key` or the owner's. Raises RepoError."""
    reader = RepoReader(OWNER.did, open_file, NOW)
    try:
        for at in range(0, len(data), pieces):
            reader.feed(data[at : at + pieces])
        return reader.finish(key or OWNER.key)
    except BaseException:
        reader.close()
        raise
