"""What can be wrong with a whole repo as a server sent it: each failure by its name, and whether another try may help.

Nothing of such a repo may be applied, least of all its absences: a cut CAR looks like a repo whose records were deleted.
"""

from enum import StrEnum

from unified_indexer.errors import Rejected


class RepoFailure(StrEnum):
    """The names. They are the reasons of `RepoError`, the labels of metrics, and the reasons of a repo's state."""

    BAD_CAR = "bad_car"  # no CAR version 1: an error page, an error in JSON, another version
    NO_ROOT = "no_root"
    SEVERAL_ROOTS = "several_roots"
    TRUNCATED = "truncated"  # ends within a length or a block; one that ends between two shows as `missing_block`
    BLOCK_HASH_MISMATCH = "block_hash_mismatch"
    UNSUPPORTED_CID = "unsupported_cid"
    MISSING_BLOCK = "missing_block"  # the commit, a node of the tree or a record
    BAD_COMMIT_BLOCK = "bad_commit_block"
    UNSUPPORTED_REPO_VERSION = "unsupported_repo_version"
    DID_MISMATCH = "did_mismatch"
    BAD_REV = "bad_rev"
    REV_IN_FUTURE = "rev_in_future"
    BAD_SIGNATURE = "bad_signature"
    BAD_TREE = "bad_tree"
    TOO_LARGE = "too_large"
    TOO_MANY_BLOCKS = "too_many_blocks"
    TOO_MANY_RECORDS = "too_many_records"

    @property
    def incomplete(self) -> bool:
        """Whether it may come of how it was sent, so that another try soon may bring all of it.

        A server that pages through its blocks while the account writes leaves some out.
        """
        return self in _INCOMPLETE


_INCOMPLETE = (RepoFailure.TRUNCATED, RepoFailure.BLOCK_HASH_MISMATCH, RepoFailure.MISSING_BLOCK)


class RepoError(Rejected):
    """A whole repo that can't be used. `failure` is its reason as a member of the enum."""

    def __init__(self, failure: RepoFailure, detail: str = "") -> None:
        super().__init__(failure, detail)
        self.failure = failure
