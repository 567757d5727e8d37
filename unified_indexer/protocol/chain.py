"""What the database needs to judge how a proven commit fits what is stored of its repo (database/functions/states.py).

Source: https://atproto.com/specs/sync: `since` and `prevData` must be the rev and the tree of the commit before. `prevData`
is not signed, so a relay may leave it away: a repo that has once been proven by it must always have it (the ratchet).
"""

from unified_indexer.protocol.events import Verdict
from unified_indexer.protocol.mst_node import EMPTY_TREE
from unified_indexer.protocol.proof import Claim, Proof


def verdict(claim: Claim, proof: Proof) -> Verdict:
    """What the database needs of a proof.

    Only a `prevData` that is proven sets the ratchet, so that no relay can set it for a repo without. And only one that is
    proven says that the tree was empty before: a repo that begins so is complete.
    """
    said = None if claim.prev_data == EMPTY_TREE else claim.prev_data
    return Verdict(
        said if proof.before is None else proof.before,
        proof.failure,
        claim.prev_data is not None and proof.before is not None and proof.signed,
        None if proof.signed else proof.commit_block,
    )
