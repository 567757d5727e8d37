"""What traffic consists of: the weights of a Mix, and the steps that the dice give."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from relay_simulator.repository import Account, Draft


@dataclass(frozen=True, slots=True)
class Mix:
    """Weights of what an event may be; only their ratios matter. The defaults are the live network's, of July 2026."""

    like: float = 66.0
    repost: float = 11.5
    post: float = 9.6
    follow: float = 7.7
    profile: float = 0.6
    other: float = 2.0
    delete: float = 1.6
    update: float = 0.1
    several: float = 0.68  # one commit in 148 has more than one operation
    identity: float = 0.1
    account: float = 0.1
    sync: float = 0.02
    toggle: float = 0.0  # create, delete, create of one record
    early_update: float = 0.0  # an update of what was not created, and perhaps its create afterwards
    duplicate: float = 0.0  # a second like, repost or follow of one subject
    move: float = 0.0  # an update of a like, repost or follow to another subject
    profile_cycle: float = 0.0  # a profile's delete and re-creation
    unknown_delete: float = 0.0
    resend: float = 0.0  # an earlier frame again, same seq
    stale: float = 0.0  # a commit whose rev is not newer than its repo's
    future: float = 0.0  # a commit whose rev is 10 minutes after its time
    too_big: float = 0.0
    missing_block: float = 0.0
    odd: float = 0.0  # a record with something wrong or strange in it, one a commit or with good siblings
    huge: float = 0.0  # a record of 0.5 to 1.5 MB

    @classmethod
    def realistic(cls) -> "Mix":
        """The live network's traffic."""
        return cls()

    @classmethod
    def awkward(cls) -> "Mix":
        """A quarter of it is something that a reader must survive with the right rows."""
        return cls(
            delete=4, update=1, several=4, identity=0.5, account=0.5, sync=0.3, profile=3,
            toggle=2, early_update=2, duplicate=4, move=3, profile_cycle=1, unknown_delete=1, resend=2, stale=2,
            future=0.5, too_big=0.3, missing_block=1, odd=10, huge=0.02,
        )  # fmt: skip


class CommitStep(NamedTuple):
    """A commit of these drafts. `kind`: 'stale' has an old rev, 'future' one ahead of its time, 'too_big' carries nothing."""

    account: Account
    drafts: list[Draft]
    kind: Literal["plain", "stale", "future", "too_big"] = "plain"


class ResendStep(NamedTuple):
    """An earlier frame again; `back` counts from the newest of those kept, and wraps."""

    back: int


class AccountStep(NamedTuple):
    """The account says whether it is active, and why not."""

    account: Account
    status: str | None


class IdentityStep(NamedTuple):
    """The account's handle is said anew."""

    account: Account


class SyncStep(NamedTuple):
    """The account's repository is said to stand at a new rev."""

    account: Account


Step: TypeAlias = CommitStep | ResendStep | AccountStep | IdentityStep | SyncStep
