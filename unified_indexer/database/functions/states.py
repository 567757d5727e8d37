"""The states of repos (states.sql): what is wrong with a commit where its repo stands, and which reason of a state says more.

`unified_worker.repos.sync` is a `State`. The rules of the protocol (protocol/chain.py) are applied under the
lock of the repo's row.
"""

from enum import IntEnum

import libipld

from unified_indexer.database.functions.dead_letters import PENDING
from unified_indexer.database.functions.sql_files import statements
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.mst_node import EMPTY_TREE


class State(IntEnum):
    """How far a repo is complete."""

    UNSEEN_HISTORY = 0  # what it wrote before the worker saw it is not known; all since is there
    SYNCHRONISED = 1
    DESYNCHRONISED = 2  # something is missing or wrong: `sync_reason` says what, since `sync_at`
    REPAIRING = 3


# Those that say more come first: who forged, what is missing, what was left out.
REASONS = {
    str(Failure.BAD_SIGNATURE): "commits were applied while the key was not known, and the last was not signed with it",
    "no_identity": "commits were applied while the key was not known, and the account has none",
    str(Failure.DOWNGRADED_COMMIT): "a commit came without prevData or prev, though the repo has sent them before",
    str(Failure.TREE_MISMATCH): "a commit did more or other than its operations say",
    "wiped": "the account was deleted, and its rows with it",
    str(Failure.CHAIN_BROKEN): "a commit followed on one that never came",
    str(Failure.SYNC_DIFFERS): "a #sync named another tree than ours",
    str(Failure.MISSING_TREE_BLOCK): "a commit came without the blocks that show all that it did",
    "refused": "a commit could not be read, or the database refused it",
    "inactive": "commits were left out while the account was not active",
    str(Failure.LEGACY_COMMIT): "a commit came without prevData or prev, which would show all that it did",
    "unfinished": "the whole repo was fetched, and not all of it is compared yet",
    "unknown": "from before the worker noted reasons",
}
"""By reason: what it means."""

EMPTY = libipld.encode_cid(EMPTY_TREE)
BEGINS = f"coalesce(p_before = '{EMPTY}', false)"
# Nothing shows what the repo held before it, though its tree is another one. While the key is not known, its tree is proven.
BLIND = f"NOT (p_inductive OR p_unproven IS NOT NULL OR {BEGINS}) AND r.data_cid IS DISTINCT FROM excluded.data_cid"

# In this order: downgrade, tree, chain; that the commit is newer is the guard's. Without proof (p_before is NULL) a `since`
# that is not told breaks nothing. '' is no tree of before that is shown. What was refused as a whole came all the same: the
# next may follow it, from its tree where that is known.
_DOUBT = """CASE
          WHEN p_user{i} IS NULL THEN CASE WHEN r.data_cid <> {data} THEN 'sync_differs' END
          WHEN p_doubt{i} = 'legacy_commit' AND r.inductive THEN 'downgraded_commit'
          WHEN p_doubt{i} IS NOT NULL THEN p_doubt{i}
          WHEN r.rev = '' OR r.refused_rev = '' THEN NULL
          WHEN p_since{i} = r.refused_rev AND coalesce(p_before{i} IN ('', r.refused_data), true) THEN NULL
          WHEN p_before{i} IS NULL THEN CASE WHEN p_since{i} <> r.rev THEN 'chain_broken' END
          WHEN p_since{i} IS DISTINCT FROM r.rev OR p_before{i} NOT IN ('', r.data_cid) THEN 'chain_broken'
        END"""
DOUBT = _DOUBT.format(i="", data="excluded.data_cid")
DOUBT_IN_LOOP = _DOUBT.format(i="[i]", data="p_data[i]")
# A commit that is signed, and whose prevData is proven to be ours, proves that ours is the account's.
PROVES = "p_inductive AND p_unproven IS NULL AND p_doubt IS NULL AND p_since = r.rev AND p_before = r.data_cid"


def functions() -> list[str]:
    """The functions that change states."""
    reasons = ", ".join(f"'{reason}'" for reason in REASONS)
    return statements("states", reasons=f"ARRAY[{reasons}]", pending=PENDING)
