"""What traffic consists of: the weights of a Mix, and the steps that the dice give."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from relay_simulator.repository import Account, Draft


@dataclass(frozen=True, slots=True)
class Mix:
    """Weights of what an event may be; only their ratios matter. The defaults are the live network's, of July 2026.

    Of a record type whose own weight is 0 no other kind of event makes a record either, except gated_thread and foreign_item.
    """

    like: float = 66.0
    repost: float = 11.5
    post: float = 9.6
    follow: float = 7.7
    profile: float = 0.6
    block: float = 0.7
    user_list: float = 0.05
    list_item: float = 0.5
    list_block: float = 0.03
    generator: float = 0.01
    starter_pack: float = 0.02
    labeler: float = 0.002
    verification: float = 0.003
    thread_gate: float = 0.25
    post_gate: float = 0.15
    generic: float = 0.3  # a record of a collection that has no meaning for us
    delete: float = 1.6
    update: float = 0.1
    several: float = 0.68  # one commit in 148 has more than one operation
    identity: float = 0.08
    handle_change: float = 0.02
    account: float = 0.06
    account_deleted: float = 0.04  # for good
    sync: float = 0.02
    author_like: float = 0.0  # the author of a thread likes a reply in it
    self_act: float = 0.0  # one's own post liked, shown, answered or quoted
    gated_thread: float = 0.0  # a post, its gate, whom that admits, and replies, in any order
    foreign_item: float = 0.0  # an item in somebody else's list
    handle_lost: float = 0.0
    handle_taken: float = 0.0  # the handle of another account
    handle_missing: float = 0.0  # an #identity without one
    account_returned: float = 0.0  # deleted, and soon back with new records
    account_odd: float = 0.0  # a status that hides nothing, or none
    inactive_commit: float = 0.0  # an account that writes while it is inactive
    toggle: float = 0.0  # create, delete, create of one record
    early_update: float = 0.0  # an update of what was not created, and perhaps its create afterwards
    duplicate: float = 0.0  # a second record with a unique key
    move: float = 0.0  # an update of such a record to another key
    profile_cycle: float = 0.0  # a profile's delete and re-creation
    unknown_delete: float = 0.0
    old_delete: float = 0.0  # of a record from before the stream, where one is left
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
    def five_types(cls) -> "Mix":
        """The live network's traffic as far as it is likes, reposts, posts, follows and profiles."""
        return cls(
            block=0, user_list=0, list_item=0, list_block=0, generator=0, starter_pack=0, labeler=0, verification=0,
            thread_gate=0, post_gate=0, generic=0,
        )  # fmt: skip

    @classmethod
    def awkward(cls) -> "Mix":
        """Half of it is something that a reader must survive with the right rows."""
        return cls(
            profile=3, block=1, user_list=1, list_item=2, list_block=1, generator=0.8, starter_pack=1, labeler=0.3,
            verification=3, thread_gate=2, post_gate=2, generic=1,
            delete=6, update=3, several=4, identity=0.5, handle_change=0.5, account=0.5, account_deleted=0.1, sync=0.3,
            author_like=3, self_act=1.5, gated_thread=1.5, foreign_item=0.3, handle_lost=0.2, handle_taken=0.4,
            handle_missing=0.2, account_returned=0.3, account_odd=0.4, inactive_commit=0.6, toggle=2, early_update=2,
            duplicate=5, move=3, profile_cycle=1, unknown_delete=1, resend=2, stale=2, future=0.5, too_big=0.3,
            missing_block=1, odd=10, huge=0.02,
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
    active: bool
    status: str | None = None


class IdentityStep(NamedTuple):
    """A handle is said of the account, or none."""

    account: Account
    handle: str | None


class SyncStep(NamedTuple):
    """The account's repository is said to stand at a new rev."""

    account: Account


Step: TypeAlias = CommitStep | ResendStep | AccountStep | IdentityStep | SyncStep
