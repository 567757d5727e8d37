"""A small network whose directory knows its accounts: a relay, what its accounts sign, and the hosts that say by which key."""

import contextlib
from collections.abc import AsyncGenerator

from relay_simulator import keys
from relay_simulator.changes import Change
from relay_simulator.encoding import car, car_section, cid_of, frame, signed_commit, time_text, unsigned_commit
from relay_simulator.generator import Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.repository import Draft, written
from relay_simulator.server import RelayServer
from relay_simulator.truth import AccountTruth
from testing.signed import SEED, START, Payload, SignedRepo, blocks_of
from testing.workers import running
from unified_worker import UnifiedWorker

LIKE = "app.bsky.feed.like"
ACCOUNTS = 40  # that the directory knows
LATER = 200  # seconds from a change of keys to the next commit


def like(rkey: str, action: str = "create") -> Draft:
    """A like of a post of its own, or its deletion."""
    if action == "delete":
        return Draft("delete", LIKE, rkey)
    subject: Payload = {"uri": f"at://did:plc:{'z' * 24}/app.bsky.feed.post/{rkey}", "cid": "bafy"}
    return written(action, LIKE, rkey, {"$type": LIKE, "subject": subject, "createdAt": time_text(START)})


class Network:
    """`relay` sends what `send` is given; `services` are the hosts. Accounts are made by `repo`."""

    def __init__(self) -> None:
        self.relay = RelayServer()
        self.ledger = Ledger(Settings(seed=SEED, accounts=ACCOUNTS, history=0))
        self.services = Services(self.ledger)
        self.seq = 0
        self._now = START

    def repo(self, number: int, history: int = 20) -> SignedRepo:
        """The account with this number; the directory knows those below ACCOUNTS."""
        return SignedRepo(number, history)

    def send(self, payload: Payload, kind: str = "#commit") -> int:
        """Have the relay send this; its seq."""
        self.seq += 1
        self._now += 1_000_000
        common: Payload = {"seq": self.seq, "time": time_text(self._now), "blobs": [], "tooBig": False}
        self.relay.append(frame(kind, common | payload))
        return self.seq

    def identity(self, repo: SignedRepo) -> int:
        """An #identity of the account."""
        return self.send({"did": repo.did, "handle": repo.account.handle}, "#identity")

    def rotate(self, repo: SignedRepo) -> None:
        """The account has its next key from now on, and the directory says so; its next commit comes some minutes later."""
        standing = self.ledger.standing(repo.did)
        assert standing is not None
        repo.account.signer = keys.signer(SEED, repo.account.number, standing.generation + 1)
        self.ledger.note(AccountTruth(self.seq, repo.did, time_text(repo.now), True, None))  # so late is it for the directory
        self.ledger.order(Change(at_seq=-1, account=repo.account.number, key=True))
        self.ledger.advance()
        repo.pass_time(LATER)
        self._now = max(self._now, repo.now)


def signed_by(payload: Payload, repo: SignedRepo, signer: keys.Signer) -> Payload:
    """The newest commit of the repo, as if this key had made it."""
    rev, data = repo.account.rev, repo.account.data
    assert rev is not None
    block = signed_commit(repo.did, rev, data, signer.sign(unsigned_commit(repo.did, rev, data)))
    return {**payload, **with_block(payload, block)}


def with_block(payload: Payload, block: bytes) -> Payload:
    """The commit and the blocks of a payload with another commit block."""
    others = {cid: old for cid, old in blocks_of(payload).items() if cid != payload["commit"]}
    root = cid_of(block)
    blocks = car(root, [car_section(root, block), *(car_section(cid, old) for cid, old in others.items())])
    return {"commit": root, "blocks": blocks}


@contextlib.asynccontextmanager
async def network() -> AsyncGenerator[Network]:
    """It runs until the block ends."""
    made = Network()
    async with made.relay, made.services:
        yield made


def verifying(
    url: str, made: Network, *, reset_cursor: bool = False, **env: str
) -> contextlib.AbstractAsyncContextManager[UnifiedWorker]:
    """A worker that follows it, and verifies in full."""
    given = {"VERIFY": "full", "PLC_RATE": "1000"} | made.services.settings | env
    return running(url, made.relay.url, reset_cursor=reset_cursor, **given)
