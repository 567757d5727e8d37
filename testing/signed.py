"""An account that really signs: commits over a real tree, by the simulator, as payloads that a test may then forge."""

from typing import Any

from relay_simulator import keys
from relay_simulator.encoding import cid_of, signed_commit, unsigned_commit
from relay_simulator.past import past
from relay_simulator.repository import Account, Draft, TreeRepositories
from unified_indexer.protocol.car import split
from unified_indexer.protocol.keys import SigningKey, signing_key

SEED, START = 7, 1_782_907_200_000_000  # 2026-07-01T12:00:00Z in µs
K256, P256 = 0, 15  # numbers of accounts whose keys are on these curves

Payload = dict[str, Any]


class SignedRepo:
    """One account. `rev` and `data` are those of its newest commit."""

    def __init__(self, number: int = K256, history: int = 60) -> None:
        self._repositories = TreeRepositories(SEED, past(SEED, START, history, 0.0, P256 + 1, ()))
        self.account = Account(number, keys.did(SEED, number), clock=number)
        self._repositories.open(self.account)
        self._micros = START

    @property
    def did(self) -> str:
        return self.account.did

    @property
    def key(self) -> SigningKey:
        """Its public key, by way of its DID document."""
        return signing_key(self.did, keys.did_document(self.did, self.account.handle, keys.signer(SEED, self.account.number)))

    @property
    def now(self) -> int:
        """The time of its newest commit, or what has passed since, in µs."""
        return self._micros

    def pass_time(self, seconds: int) -> None:
        """So much later comes its next commit."""
        self._micros += seconds * 1_000_000

    def commit(self, *drafts: Draft) -> Payload:
        """The next commit's payload, as far as proofs read it; `blocks` are the CAR."""
        since, before = self.account.rev, self.account.data
        self._micros += 1_000_000
        rev = self.account.next_tid(self._micros)
        packed = self._repositories.pack(self.account, list(drafts), rev, keep=True)
        self.account.rev, self.account.data = rev, packed.data
        return {
            "repo": self.did,
            "rev": rev,
            "since": since,
            "commit": packed.root,
            "prevData": before,
            "ops": packed.ops,
            "blocks": packed.blocks,
        }

    def commit_block(self, rev: str, data: bytes, *, did: str | None = None) -> bytes:
        """A commit block that it signs, whatever it says."""
        unsigned = unsigned_commit(did or self.did, rev, data)
        return signed_commit(did or self.did, rev, data, keys.signer(SEED, self.account.number).sign(unsigned))


def blocks_of(payload: Payload) -> dict[bytes, bytes]:
    """The blocks of a payload's CAR by CID, hashes checked."""
    return split(payload["blocks"])[1]


def with_commit_block(payload: Payload, block: bytes) -> tuple[Payload, dict[bytes, bytes]]:
    """A payload and its blocks with another commit block in the place of its own."""
    return {**payload, "commit": cid_of(block)}, {**blocks_of(payload), cid_of(block): block}
