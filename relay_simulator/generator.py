"""A relay's stream out of a seed: the same arguments give the same bytes.

for sent in Generator(accounts=1_000).stream(5_000): sent.frame, sent.truth
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import assert_never

from relay_simulator import keys
from relay_simulator.archive import Archive
from relay_simulator.changes import Change
from relay_simulator.commit_message import commit_message
from relay_simulator.encoding import car, car_section, cid_of, cid_text, frame, tid, time_text
from relay_simulator.mix import AccountStep, CommitStep, IdentityStep, Mix, ResendStep, Step, SyncStep
from relay_simulator.network import Network
from relay_simulator.orders import Orders
from relay_simulator.past import Past, past
from relay_simulator.records import Record
from relay_simulator.repository import Account, CheapRepositories, TreeRepositories
from relay_simulator.traffic import Traffic
from relay_simulator.truth import AccountTruth, CommitTruth, IdentityTruth, Sent, SyncTruth

RESENDABLE = 500  # frames that are kept to be sent again
SECOND = 1_000_000  # µs
FUTURE = 600 * SECOND  # how far a rev of a 'future' commit lies ahead: twice what a careful reader grants


@dataclass(frozen=True, slots=True)
class Settings:
    """What the stream depends on. Two generators of equal settings give equal streams.

    `start` is the first event's time, `per_second` the events' own pace (not that of sending). In tree mode `history` is how
    many records an account has from before the stream, in the mean, and `spread` how far accounts differ in that (see Past).
    `padding` is the mean of the bytes that fill a cheap commit up. `web_ports` are the ports of this machine at which the first
    accounts have their did:web. `hosts` is how many PDS hosts there are, 2 or more. `changes` are in order of seq.
    """

    seed: int = 1
    accounts: int = 1_000
    mix: Mix = field(default_factory=Mix.realistic)
    cheap: bool = False
    start: datetime = datetime(2026, 7, 1, tzinfo=UTC)
    per_second: float = 350.0
    first_seq: int = 1_000_001
    history: int = 4_000
    spread: float = 0.0
    padding: int = 3_500
    web_ports: tuple[int, ...] = ()
    hosts: int = 2
    changes: tuple[Change, ...] = ()

    @property
    def past(self) -> Past:
        """What the accounts had written before the stream."""
        start = int(self.start.timestamp() * SECOND)
        length = 0 if self.cheap else self.history
        return past(self.seed, start, length, self.spread, self.accounts, self.web_ports)


class Generator:
    """One stream, made as it is asked for. In an archive it keeps the repositories (in tree mode)."""

    def __init__(self, settings: Settings, archive: Archive | None = None) -> None:
        self.settings = settings
        self._start = int(settings.start.timestamp() * SECOND)
        self.repositories = (
            CheapRepositories(settings.seed, settings.padding)
            if settings.cheap
            else TreeRepositories(settings.seed, settings.past, archive)
        )
        self.network = Network(settings.seed, settings.accounts, self._start, self.repositories.open, settings.web_ports)
        self._traffic = Traffic(self.network, settings.mix)
        self._rng = Random(f"relay {settings.seed}")
        self._recent: deque[Sent] = deque(maxlen=RESENDABLE)
        self._seq = settings.first_seq - 1
        self._orders = Orders(settings.seed, settings.changes, self.network, self._traffic.like)
        self._count = 0

    def stream(self, events: int) -> Iterator[Sent]:
        """The next so many events. Called again, it goes on where it was."""
        for _ in range(events):
            now = self._start + int(self._count * SECOND / self.settings.per_second)
            self._count += 1
            yield self._send(self._step(now), now)

    def event(self, at: datetime) -> Sent:
        """The next event, which happens at this moment."""
        now = int(at.timestamp() * SECOND)
        return self._send(self._step(now), now)

    def did_documents(self) -> dict[str, dict[str, object]]:
        """The DID documents of the accounts seen so far, by DID."""
        return {
            account.did: keys.did_document(account.did, account.handle, keys.signer(self.settings.seed, account.number))
            for account in self.network.known_accounts()
        }

    def _step(self, now: int) -> Step:
        """What is ordered for now, else as the dice fall."""
        return self._orders.next(self._seq + 1) or self._traffic.next(now)

    def _send(self, step: Step, now: int) -> Sent:
        match step:
            case ResendStep(back) if self._recent:
                return self._recent[-1 - back % len(self._recent)]
            case ResendStep():
                account = self.network.account()
                return self._send(IdentityStep(account, account.handle), now)
            case CommitStep():
                sent = self._commit(step, now)
            case SyncStep(account):
                sent = self._sync(account, now)
            case IdentityStep():
                sent = self._identity(step, now)
            case AccountStep():
                sent = self._account(step, now)
            case _:
                assert_never(step)
        self._recent.append(sent)
        return sent

    def next_seq(self) -> int:
        """The seq of a message that is about to be sent. Some numbers are left out, as relays do."""
        step = 1 if self._rng.random() < 0.95 else self._rng.randrange(2, 6)
        self._seq = max(self._seq + 1, self._orders.before(self._seq + step))
        return self._seq

    def _rev(self, account: Account, now: int) -> str:
        """A new rev, some 100 ms old by the time that the relay passes it on."""
        return account.next_tid(now - self._rng.randrange(50_000, 300_000))

    def _commit(self, step: CommitStep, now: int) -> Sent:
        account, drafts, kind = step
        if kind == "too_big":
            return self._too_big(account, now)
        match kind:
            case "plain":
                rev = self._rev(account, now)
            case "stale":
                fork = self._rng.random() < 0.3
                rev = account.rev if account.rev and fork else tid(self._start - self._rng.randrange(SECOND), 0)
            case "future":
                rev = tid(now + FUTURE, account.clock)
        kept = kind == "plain"
        packed = self.repositories.pack(account, drafts, rev, keep=kept)
        payload, truth = commit_message(account, drafts, rev, packed, seq=self.next_seq(), now=now, kept=kept)
        if kept:
            account.rev = rev
            account.data = packed.data
        return Sent(frame("#commit", payload), truth)

    def _too_big(self, account: Account, now: int) -> Sent:
        rev = self._rev(account, now)
        commit = cid_of(self.repositories.sign(account, rev))
        payload: Record = {
            "seq": self.next_seq(),
            "repo": account.did,
            "rev": rev,
            "since": account.rev,
            "commit": commit,
            "blocks": b"",
            "ops": [],
            "blobs": [],
            "time": time_text(now),
            "tooBig": True,
            "rebase": False,
        }
        truth = CommitTruth(self._seq, account.did, rev, account.rev, time_text(now), (), True, False, None, cid_text(commit))
        account.rev = rev
        return Sent(frame("#commit", payload), truth)

    def _sync(self, account: Account, now: int) -> Sent:
        rev = self._rev(account, now)
        commit = self.repositories.sign(account, rev)
        root = cid_of(commit)
        blocks = car(root, [car_section(root, commit)])
        payload: Record = {"seq": self.next_seq(), "did": account.did, "rev": rev, "time": time_text(now), "blocks": blocks}
        account.rev = rev
        return Sent(
            frame("#sync", payload),
            SyncTruth(self._seq, account.did, rev, time_text(now), cid_text(account.data), cid_text(root)),
        )

    def _identity(self, step: IdentityStep, now: int) -> Sent:
        account, handle = step
        payload: Record = {"seq": self.next_seq(), "did": account.did, "time": time_text(now)}
        if handle is not None:
            payload["handle"] = handle
        return Sent(frame("#identity", payload), IdentityTruth(self._seq, account.did, time_text(now), handle))

    def _account(self, step: AccountStep, now: int) -> Sent:
        account, active, status = step
        payload: Record = {"seq": self.next_seq(), "did": account.did, "time": time_text(now), "active": active}
        if status is not None:
            payload["status"] = status
        return Sent(frame("#account", payload), AccountTruth(self._seq, account.did, time_text(now), active, status))
