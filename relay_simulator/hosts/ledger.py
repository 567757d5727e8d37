"""What each account is by now: its handle, key, PDS, newest commit and status, as far as the stream has been sent."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple, Protocol, TypeVar

from relay_simulator import keys
from relay_simulator.archive import Archive, RepoTruth, Snapshot
from relay_simulator.changes import Change
from relay_simulator.encoding import cid_text
from relay_simulator.generator import Settings
from relay_simulator.hosts.standing import Head, Shift, Standing
from relay_simulator.repository import signed
from relay_simulator.truth import AccountTruth, CommitTruth, IdentityTruth, SyncTruth, Truth

GONE_SHARE = 100  # for so many accounts there is one whose DID has ended before the stream, and at least one
OTHER_PDS_SHARE = 4  # one account in so many is not at the first PDS from the start
_FIRST_HANDLE = re.compile(r"user(\d+)\.simulator\.test")
_HANDLE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.test")


class _Note(NamedTuple):
    """What matters of a truth; `apply` does it."""

    seq: int
    did: str
    time: str
    apply: Callable[[Standing], object]


class Message(Protocol):
    """A message of the stream, honest or forged."""

    @property
    def truth(self) -> Truth | None:
        """What of it is so."""
        ...


Heard = TypeVar("Heard", bound=Message)


class Ledger:
    """The network of these settings. `note` the truths of its stream, in order; `upto` gives the seq up to which they have
    been sent, and without it whatever is noted holds at once. Time never runs back.

    Give the stream's generator the `archive`: without it the hosts know no repository whole.
    """

    def __init__(self, settings: Settings, upto: Callable[[], int] | None = None) -> None:
        self.settings = settings
        self.archive = Archive()
        self.shifts: list[Shift] = []  # of did:plc accounts, in order
        self.gone = max(1, settings.accounts // GONE_SHARE)  # accounts after the others, which never act
        self._upto = upto
        self._dids = [self.did(number) for number in range(settings.accounts + self.gone)]
        self._numbers = {did: number for number, did in enumerate(self._dids)}
        self._standings: dict[str, Standing] = {}
        self._holders: dict[str, str | None] = {}  # of handles that are not as they were at first
        self._notes: deque[_Note] = deque()
        self._changes = deque(settings.changes)
        self._time = settings.start.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def did(self, number: int) -> str:
        """The DID of the account with this number."""
        return keys.did(self.settings.seed, number, self.settings.web_ports)

    def key(self, standing: Standing) -> keys.Signer:
        """The key that the account signs with."""
        return keys.signer(self.settings.seed, standing.number, standing.generation)

    def first(self, number: int) -> Standing:
        """The account as it was before the stream."""
        gone = number >= self.settings.accounts
        turn, place = divmod(number, OTHER_PDS_SHARE)
        pds = 1 + turn % (self.settings.hosts - 1) if place == OTHER_PDS_SHARE - 1 else 0
        return Standing(number, self.did(number), f"user{number}.simulator.test", pds=pds, tombstone=gone)

    def standing(self, did: str) -> Standing | None:
        """The account of this DID by now; None if there is none."""
        self.advance()
        return self._of(did)

    def seen(self, did: str, pds: int) -> Standing | None:
        """The account as this host sees it: who has left the host is deactivated there. None where it never was."""
        standing = self.standing(did)
        if standing is None or standing.number >= self.settings.accounts:
            return None
        if standing.pds == pds:
            return standing
        left = self.first(standing.number).pds == pds
        return replace(standing, active=False, status="deactivated") if left else None

    def listed(self, pds: int | None = None) -> list[Standing]:
        """The accounts that have a repository, by their age, as this host sees them; None: as a relay does."""
        found = (self.standing(did) if pds is None else self.seen(did, pds) for did in self._dids[: self.settings.accounts])
        return [standing for standing in found if standing is not None and self._begun(standing)]

    def _begun(self, standing: Standing) -> bool:
        if standing.status == "deleted":
            return False
        return standing.commit is not None or self.settings.past.rev(standing.number) is not None

    def collections(self, standing: Standing) -> set[str]:
        """Those that it has, or had, records of."""
        return {path.partition("/")[0] for path in self.settings.past.history(standing.number).paths} | standing.collections

    def repo(self, did: str) -> RepoTruth | None:
        """All that is in the account's repository by now, whatever its status; None where there is none yet."""
        standing = self.standing(did)
        snapshot = self.snapshot(standing) if standing is not None else None
        return snapshot.truth() if snapshot is not None else None

    def snapshot(self, standing: Standing) -> Snapshot | None:
        """The account's repository; None where there is none yet. Raises KeyError where it was not kept."""
        if standing.commit is not None:
            return self.archive.at(standing.commit)
        rev = self.settings.past.rev(standing.number)
        if rev is None or standing.number >= self.settings.accounts:
            return None
        history = self.settings.past.history(standing.number)
        commit = signed(standing.did, rev, history.root.cid, keys.signer(self.settings.seed, standing.number))
        return Snapshot(standing.did, rev, commit, history.root, {}, history.blocks)

    def head(self, standing: Standing) -> Head | None:
        """Where the account's repository stands; None where there is none yet."""
        if standing.rev is not None and standing.commit is not None:
            return Head(standing.rev, standing.commit)
        snapshot = self.snapshot(standing)
        return Head(snapshot.rev, cid_text(snapshot.commit)) if snapshot is not None else None

    def holder(self, handle: str) -> str | None:
        """The DID that the handle's owner names."""
        self.advance()
        return self._held(handle)

    def noted(self, stream: Iterable[Heard]) -> Iterator[Heard]:
        """The same stream, the truths of its messages noted as they pass."""
        for sent in stream:
            self.note(sent.truth)
            yield sent

    def order(self, change: Change) -> None:
        """One more change; those that are there and come later stay so."""
        self._changes = deque(sorted((*self._changes, change), key=attrgetter("at_seq")))

    def note(self, truth: Truth | None) -> None:
        """What a frame says, that is sent or will be; None where it is a lie."""
        if truth is None:
            return

        def moved(standing: Standing) -> None:
            if standing.rev is None or rev > standing.rev:
                if standing.commit is not None:
                    self.archive.forget(standing.commit)
                standing.rev, standing.commit = rev, commit
                standing.collections.update(collections)

        def named(standing: Standing) -> None:
            if truth.seq > standing.named_seq:
                standing.named_seq = truth.seq
                self._named(standing, handle.lower())

        def seen(standing: Standing) -> None:
            if truth.seq > standing.seen_seq:
                standing.active, standing.status, standing.seen_seq = active, status, truth.seq

        match truth:
            case CommitTruth(rev=rev, commit=str(commit)) | SyncTruth(rev=rev, commit=str(commit)):
                ops = truth.ops if isinstance(truth, CommitTruth) else ()
                collections = {op.collection for op in ops if op.action != "delete"}
                self._notes.append(_Note(truth.seq, truth.did, truth.time, moved))
            case IdentityTruth(handle=str(handle)):
                self._notes.append(_Note(truth.seq, truth.did, truth.time, named))
            case AccountTruth(active=active, status=status):
                self._notes.append(_Note(truth.seq, truth.did, truth.time, seen))
            case _:
                return  # nothing that counts
        if self._upto is None:
            self.advance()

    def advance(self) -> None:
        """Make happen what has been sent by now."""
        upto = self._upto() if self._upto is not None else self._notes[-1].seq if self._notes else -1
        while self._notes and self._notes[0].seq <= upto:
            note = self._notes.popleft()
            self._time = note.time
            self._change(note.seq)
            standing = self._of(note.did)
            if standing is not None:
                note.apply(standing)
        self._change(upto)

    def _of(self, did: str) -> Standing | None:
        if did not in self._standings and did in self._numbers:
            self._standings[did] = self.first(self._numbers[did])
        return self._standings.get(did)

    def _held(self, handle: str) -> str | None:
        if handle in self._holders:
            return self._holders[handle]
        match = _FIRST_HANDLE.fullmatch(handle)
        return self.did(int(match[1])) if match and int(match[1]) < self.settings.accounts else None

    def _change(self, seq: int) -> None:
        while self._changes and self._changes[0].at_seq <= seq:
            change = self._changes.popleft()
            standing = self._of(self.did(change.account))
            if standing is not None:
                self._changed(standing, change)

    def _changed(self, standing: Standing, change: Change) -> None:
        standing.generation += change.key
        standing.pds = (standing.pds + change.pds) % self.settings.hosts
        standing.tombstone |= change.tombstone
        if change.handle is not None:
            self._take(standing, change.handle)
        self._shift(standing)

    def _named(self, standing: Standing, handle: str) -> None:
        """An #identity: the account has that handle from now on, whoever had it; one that is none is a lost one."""
        if _HANDLE.fullmatch(handle) is None:
            if self._held(standing.handle) == standing.did:
                self._holders[standing.handle] = None
        elif handle != standing.handle:
            self._take(standing, handle)
            self._shift(standing)
        else:
            self._holders[handle] = standing.did

    def _take(self, standing: Standing, handle: str) -> None:
        if self._held(standing.handle) == standing.did:
            self._holders[standing.handle] = None
        standing.handle = handle
        self._holders[handle] = standing.did

    def _shift(self, standing: Standing) -> None:
        if standing.did.startswith("did:plc:"):
            self.shifts.append(Shift(replace(standing), self._time))
