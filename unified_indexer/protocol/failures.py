"""What can be wrong with a commit that is to be proven: each failure by its name, and what follows from it.

Source of the rules: https://atproto.com/specs/sync (commit validation). A relay must not be able to make us fetch whole repos:
so what is not authentic is refused, and marks nothing.
"""

from enum import Enum, StrEnum


class Effect(Enum):
    """What follows from a failure."""

    REFUSED = "nothing is applied, the repo's rev stays, the frame is kept as a dead letter"
    DESYNCHRONISED = "the proven ops are applied, and the repo is marked for repair"
    NOTED = "applied: less is proven than could be"
    IGNORED = "nothing is applied, and nothing is wrong"


class Failure(StrEnum):
    """The names. They are the reasons of `Rejected`, the labels of metrics, and the reasons of a repo's state."""

    BAD_OP = "bad_op"  # no map, no path, an unknown action, or a create or update without a CID
    DUPLICATE_PATH = "duplicate_path"  # two ops of one path: what was there in between is in no tree
    DELETE_WITH_CID = "delete_with_cid"
    CREATE_WITH_PREV = "create_with_prev"
    UNCHANGED_UPDATE = "unchanged_update"  # cid is prev: it would prove itself, and have any record written again
    MISSING_COMMIT_BLOCK = "missing_commit_block"
    BAD_COMMIT_BLOCK = "bad_commit_block"
    UNSUPPORTED_REPO_VERSION = "unsupported_repo_version"
    DID_MISMATCH = "did_mismatch"
    REV_MISMATCH = "rev_mismatch"
    BAD_TREE = "bad_tree"  # not built as a search tree is, around the keys of the ops
    OP_NOT_IN_TREE = "op_not_in_tree"  # the signed tree lacks the record that an op wrote, or holds another
    DELETED_STILL_THERE = "deleted_still_there"  # the signed tree holds a record that an op deleted
    BAD_SIGNATURE = "bad_signature"
    NO_IDENTITY = "no_identity"  # the directory knows no such DID, or its document names no key
    UNPROVEN = "unproven"  # nobody could say by which key it must be signed
    MISSING_TREE_BLOCK = "missing_tree_block"  # the commit's blocks don't show enough of the tree
    TREE_MISMATCH = "tree_mismatch"  # its ops undone, another tree comes out than prevData: an op is hidden or false
    CHAIN_BROKEN = "chain_broken"  # prevData or since are not what we have: a commit in between is missing
    DOWNGRADED_COMMIT = "downgraded_commit"  # without prevData or prev, though the repo has sent them before
    SYNC_DIFFERS = "sync_differs"  # a #sync names another tree than ours
    LEGACY_COMMIT = "legacy_commit"  # without prevData or prev, as before Sync 1.1
    STALE = "stale"  # its rev is not newer than ours

    @property
    def effect(self) -> Effect:
        """What follows from it."""
        return _EFFECTS.get(self, Effect.REFUSED)


_EFFECTS = {
    Failure.MISSING_TREE_BLOCK: Effect.DESYNCHRONISED,
    Failure.TREE_MISMATCH: Effect.DESYNCHRONISED,
    Failure.CHAIN_BROKEN: Effect.DESYNCHRONISED,
    Failure.DOWNGRADED_COMMIT: Effect.DESYNCHRONISED,
    Failure.SYNC_DIFFERS: Effect.DESYNCHRONISED,
    Failure.LEGACY_COMMIT: Effect.NOTED,
    Failure.STALE: Effect.IGNORED,
}
