"""The model itself: it takes events in, one after the other, and keeps what is there."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median_low, quantiles
from typing import Any, cast

from relay_simulator.truth import AccountTruth, CommitTruth, IdentityTruth, OpTruth, SyncTruth, Truth
from testing.model.checks import check
from testing.model.expected import Expected, worked_out
from testing.model.history import History
from testing.model.names import BEFORE, Row, Rows, Stored
from testing.model.protocol import MAX_URI, Refused, check_data_model, instant, is_handle, tid_time, without_nul
from testing.model.states import COMPLETE, UNSEEN, Completeness, Verify, doubt

MAX_BLOCK_BYTES = 2**20
MAX_AHEAD = timedelta(minutes=5)  # a rev further ahead of its commit's time than this is refused
HIDING = ("takendown", "suspended", "deleted", "deactivated")
UNCONFIRMED = "deletion_unconfirmed"
NO_HANDLE = "handle.invalid"


@dataclass
class Repo:
    """An account as the stream has left it; its records are those of its accepted operations, by path."""

    rev: str = ""
    data: str | None = None
    active: bool = True
    status: str | None = None
    account_seq: int = -1
    handle: str | None = None
    handle_seq: int = -1
    claimed: int | None = None  # the seq since which its claim of the handle stands
    verified: bool | None = None  # whether the handle led to the account; None where that was not looked at
    checked: int = 0  # the number of the check, of all accounts'
    known: Completeness = field(default_factory=Completeness)
    refused: str | None = None  # the rev of a commit that came after `rev` and was refused as a whole
    has_user: bool = False
    records: dict[str, Stored] = field(default_factory=dict[str, Stored])


def every_collection(_: str) -> bool:
    """The choice of all collections."""
    return True


class Model:
    """Feed it one relay's truths in order with `apply`; `rows` says what the tables should hold.

    `opted_out`: accounts that forbid the collection of their data. `collections`: which ones are indexed. `confirm`: a
    deletion counts once `confirmed` says so, and a verified handle changes by `settled` alone. `verify`: the setting; with it,
    only truths of which something is proven are fed.
    """

    def __init__(
        self,
        opted_out: Collection[str] = (),
        collections: Callable[[str], bool] = every_collection,
        confirm: bool = False,
        verify: Verify = "off",
    ) -> None:
        self.repos: dict[str, Repo] = {}
        self.history = History()
        self.stale = 0  # commits and #syncs that changed nothing, because their rev is not newer; forks among them
        self.stale_messages = 0  # #account and #identity that are not newer than the one that stands
        self.doubts: Counter[str] = Counter()  # what was wrong with commits and #syncs that were taken in all the same
        self.filtered = 0  # commits of inactive and opted-out accounts
        self.refused: list[tuple[int, str, str]] = []  # seq, path, reason
        self._last: datetime | None = None
        self._times: dict[str, datetime] = {}  # what each account said last, the newest at the end
        self._opted_out = frozenset(opted_out)
        self._collections = collections
        self._confirm = confirm
        self._verify: Verify = verify
        self._checks = 0
        self._expected: Expected | None = None

    def apply(self, truth: Truth) -> None:
        """Take one event in."""
        self._expected = None
        self.history.event += 1
        match truth:
            case CommitTruth():
                self._commit(truth)
            case SyncTruth():
                self._sync(truth)
            case IdentityTruth():
                self._identity(truth)
            case AccountTruth():
                self._account(truth)

    def before(self, did: str, rev: str, data: str, records: Iterable[OpTruth]) -> None:
        """What an account had before the stream, at this commit: sound records, none of which has to do with a gate."""
        repo = self.repos[did] = Repo(rev, data)
        time = tid_time(rev)
        for op in records:
            record = cast("dict[str, Any]", op.record)
            stored = Stored(did, op.collection, op.rkey, op.cid or "", record, BEFORE, rev, time)
            repo.records[stored.path] = stored
            self.history.had(stored)
        repo.has_user = bool(repo.records)

    def confirmed(self, did: str) -> None:
        """The PDS of an account whose deletion a relay told, or the directory, has said the same."""
        self._expected = None
        if self.repos[did].status == UNCONFIRMED:
            self._gone(did)

    def denied(self, did: str, active: bool, status: str | None) -> None:
        """The PDS of an account whose deletion a relay told has said something else."""
        self._expected = None
        repo = self.repos[did]
        if repo.status == UNCONFIRMED:
            repo.status = status
            repo.active = active or (status is not None and status not in HIDING)

    def settled(self, did: str, handle: str | None) -> None:
        """An account's handle was checked: this one is its own; None: it has none, whatever it claims."""
        self._expected = None
        if did in self.repos:
            repo = self.repos[did]
            self._checks += 1
            repo.checked, repo.verified = self._checks, handle is not None
            repo.handle = handle or repo.handle
            repo.claimed = -1 if handle is not None and did not in self.history.deleted else None

    @property
    def revs(self) -> dict[str, str]:
        """The rev of each repo of which a commit was accepted."""
        return {did: repo.rev for did, repo in self.repos.items() if repo.rev}

    def expected(self) -> Expected:
        """All that the tables should hold, and what of it is undetermined."""
        if self._expected is None:
            records = [stored for repo in self.repos.values() for stored in repo.records.values()]
            self._expected = worked_out(records, self.handles(), self.history)
            self._expected.rows["unified_worker.repos"] = {did: repo_row(did, repo) for did, repo in self.repos.items()}
        return self._expected

    def rows(self) -> Rows:
        """{table: {primary key: {column: value}}}, holders of a unique key only."""
        return self.expected().rows

    def duplicate_records(self) -> set[str]:
        """The URIs of the records that wait, because another has their unique key."""
        return self.expected().waiting

    def _repo(self, did: str) -> Repo:
        return self.repos.setdefault(did, Repo())

    def _is_stale(self, did: str, rev: str) -> bool:
        stale = did in self.repos and rev <= self.repos[did].rev
        self.stale += stale
        return stale

    def _time(self, did: str, text: str) -> datetime:
        """When an event was made; one that lies ahead of our clock is of the stream's time."""
        own, now = cast("datetime", instant(text)), datetime.now(UTC)
        if own <= now + MAX_AHEAD:
            self._times.pop(did, None)
            self._times[did] = self._last = own
            return own
        times = sorted(list(self._times.values())[-301:])
        if len(times) >= 15:
            low, _, high = quantiles(time.timestamp() for time in times)
            if high - low <= 10:
                return median_low(times)
        return self._last or now

    def _commit(self, commit: CommitTruth) -> None:
        time = self._time(commit.did, commit.time)
        if self._is_stale(commit.did, commit.rev):
            return
        repo = self._repo(commit.did)
        hidden = not repo.active or commit.did in self._opted_out
        self.filtered += hidden
        ahead = tid_time(commit.rev) > time + MAX_AHEAD
        if ahead or commit.too_big:
            if self._verify == "off":
                repo.refused = commit.rev
                if commit.did in self._opted_out:
                    repo.known.filtered = True
                else:
                    repo.known.lose("refused")
            if not hidden:
                self.refused.append((commit.seq, "", "rev is ahead of its time" if ahead else "too big"))
            return
        known = repo.known
        wrong = doubt(known, repo.rev, repo.data, repo.refused, commit, self._verify)
        if wrong is not None:
            known.lose(wrong)
            self.doubts[wrong] += repo.active
        elif not repo.rev and (commit.since, commit.prev_data, known.state, self._verify) == (None, None, UNSEEN, "full"):
            known.state = COMPLETE
        known.inductive |= self._verify == "full" and commit.sound and commit.prev_data is not None
        repo.rev, repo.data, repo.refused = commit.rev, commit.data, None
        known.filtered |= commit.did in self._opted_out
        if not repo.active:
            known.lose("inactive")
        if hidden:
            return
        for place, op in enumerate(commit.ops):
            if any(
                (op.collection, op.rkey, "delete") == (later.collection, later.rkey, later.action)
                for later in commit.ops[place + 1 :]
            ):
                continue  # nobody saw it
            if not self._collections(op.collection):
                known.filtered = True
                continue
            try:
                self._op(repo, commit, op, time)
            except Refused as reason:
                self.refused.append((commit.seq, f"{op.collection}/{op.rkey}", str(reason)))

    def _op(self, repo: Repo, commit: CommitTruth, op: OpTruth, time: datetime) -> None:
        uri = f"at://{commit.did}/{op.collection}/{op.rkey}"
        if len(uri) > MAX_URI:
            raise Refused("the uri is too long")
        if op.action == "delete":
            gone = repo.records.pop(f"{op.collection}/{op.rkey}", None)
            if gone is not None:
                self.history.delete(gone, time)
            return
        if op.fault is not None:
            raise Refused(op.fault)
        if op.size > MAX_BLOCK_BYTES:
            raise Refused("the record is over 1 MB")
        check_data_model(op.record, 1)
        if not isinstance(op.record, dict) or op.record.get("$type") != op.collection:
            raise Refused("$type is not the collection")
        record = cast("dict[str, Any]", without_nul(op.record))
        check(record, op.collection, commit.did, op.rkey)
        repo.has_user = True
        stored = Stored(commit.did, op.collection, op.rkey, op.cid or "", record, commit.seq, commit.rev, time)
        self.history.put(repo.records.get(stored.path), stored)
        repo.records[stored.path] = stored

    def _sync(self, sync: SyncTruth) -> None:
        self._time(sync.did, sync.time)
        if not self._is_stale(sync.did, sync.rev):
            repo = self._repo(sync.did)
            if repo.data is not None and repo.data != sync.data:
                repo.known.lose("sync_differs")
                self.doubts["sync_differs"] += 1
            repo.rev, repo.data, repo.refused = sync.rev, sync.data, None

    def _identity(self, identity: IdentityTruth) -> None:
        self._time(identity.did, identity.time)
        if identity.handle is None:
            return
        repo = self._repo(identity.did)
        if identity.seq <= repo.handle_seq:  # of one relay seqs alone decide
            self.stale_messages += 1
            return
        claim = identity.handle.lower()
        before, repo.handle_seq = repo.handle, identity.seq
        if self._confirm and repo.verified:
            return
        repo.handle = claim if is_handle(claim) and claim != NO_HANDLE else None
        if repo.handle != before or repo.handle is None:
            repo.verified = None
        if repo.handle is None or repo.verified is False or identity.did in self.history.deleted:
            repo.claimed = None
        elif repo.handle != before or repo.claimed is None:
            repo.claimed = identity.seq

    def _account(self, account: AccountTruth) -> None:
        self._time(account.did, account.time)
        stored = account.did in self.repos and self._stored(self.repos[account.did])
        repo = self._repo(account.did)
        if account.seq <= repo.account_seq:
            self.stale_messages += 1
            return
        was_gone = account.did in self.history.deleted
        repo.account_seq, repo.status = account.seq, account.status
        repo.active = account.active or (account.status is not None and account.status not in HIDING)
        if repo.handle is not None and was_gone:
            repo.claimed, repo.verified = account.seq, None  # it is back, behind those that claimed the handle meanwhile
        self.history.deleted.discard(account.did)
        if not repo.active and account.status == "deleted":
            if self._confirm and stored and not was_gone:
                repo.status = UNCONFIRMED
            else:
                self._gone(account.did)

    def _stored(self, repo: Repo) -> bool:
        """Whether anything of an account could be lost."""
        return bool(repo.rev) or repo.has_user or repo.handle is not None

    def _gone(self, did: str) -> None:
        """An account is deleted, and its rows with it."""
        repo = self.repos[did]
        repo.status, repo.claimed, repo.verified = "deleted", None, None
        repo.known.lose("wiped")
        self.history.deleted.add(did)
        self.history.wipe(did, list(repo.records.values()))
        repo.records.clear()

    def handles(self) -> dict[str, str]:
        """The handle of each account that has a row in users: its claim, if no other's of the same handle was verified later,
        or stands longer where none was."""
        owners: dict[str, str] = {}
        standing = [
            (-repo.checked if repo.verified else 1, repo.claimed, did, repo.handle)
            for did, repo in self.repos.items()
            if repo.claimed is not None
        ]
        for _, _, did, handle in sorted(standing):
            owners.setdefault(cast("str", handle), did)
        handles = {did: handle for handle, did in owners.items()}
        return {did: handles.get(did, NO_HANDLE) for did, repo in self.repos.items() if repo.has_user}


def repo_row(did: str, repo: Repo) -> Row:
    """What the worker's own table says of a repo."""
    return {
        "did": did,
        "rev": repo.rev,
        "active": repo.active,
        "status": repo.status,
        "handle": repo.handle,
        "sync": repo.known.state,
        "sync_reason": repo.known.reason,
        "filtered": repo.known.filtered,
        "inductive": repo.known.inductive,
        "wiping": False,
    }
