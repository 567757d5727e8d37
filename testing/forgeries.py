"""What becomes of each forgery of the simulator, by the names that the worker gives: the one list that tests go by."""

import time
from typing import Any, NamedTuple

import asyncpg

from relay_simulator import keys
from relay_simulator.generator import Settings
from testing.model import UNDETERMINED, Model
from unified_indexer.identity.store import WRITE, State
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.keys import key_bytes, signing_key


class Outcome(NamedTuple):
    """`refused`: by a proof, `unusable`: by the decoder, each by its name. `marked`: what is true of it is taken, and the repo
    is marked with this name. `ignored`: nothing comes of it.
    """

    refused: Failure | None = None
    unusable: str | None = None
    marked: Failure | None = None
    ignored: Failure | None = None


def _refused(*kinds: str, by: Failure) -> dict[str, Outcome]:
    return dict.fromkeys(kinds, Outcome(refused=by))


def _unusable(*kinds: str, by: str) -> dict[str, Outcome]:
    return dict.fromkeys(kinds, Outcome(unusable=by))


def _marked(*kinds: str, by: Failure) -> dict[str, Outcome]:
    return dict.fromkeys(kinds, Outcome(marked=by))


OUTCOMES: dict[str, Outcome] = {
    **_unusable("changed-record", "link-cycle", by="block_hash_mismatch"),
    **_unusable("wrapped-commit", "wrapped-block", by="did_mismatch"),
    **_unusable("raised-rev", by="rev_mismatch"),
    **_unusable("other-root", "two-roots", "other-commit", by="commit_cid_mismatch"),
    **_unusable("sync-far-ahead", by="rev_in_future"),
    **_refused("swapped-record", "node-as-record", by=Failure.OP_NOT_IN_TREE),
    **_refused("false-delete", by=Failure.DELETED_STILL_THERE),
    **_refused("unchanged-update", by=Failure.UNCHANGED_UPDATE),
    **_refused("doubled-path", by=Failure.DUPLICATE_PATH),
    **_refused(
        *("rehashed-tree", "renamed-block", "raised-block-rev"),
        *("own-key", "others-key-k256", "others-key-p256", "old-key", "high-s-k256", "high-s-p256"),
        *("short-signature", "long-signature", "empty-signature", "der-signature"),
        *("sync-ahead", "sync-unsigned", "sync-own-key"),
        by=Failure.BAD_SIGNATURE,
    ),
    **_refused(
        *("misplaced-key", "misplaced-root", "unordered-keys", "long-prefix", "nested-heads", "record-as-node"),
        by=Failure.BAD_TREE,
    ),
    **_marked("hidden-op", "added-op", "false-update", "rewritten-prev-data", by=Failure.TREE_MISMATCH),
    **_marked("withheld", by=Failure.CHAIN_BROKEN),
    **_marked("stripped", by=Failure.DOWNGRADED_COMMIT),
    "replayed": Outcome(ignored=Failure.STALE),
}
"""By the kind of forgery. Those are missing that no commit and no signature shows: what is said of accounts and identities."""

AT_SIGNATURES: dict[str, Outcome] = {
    # All that such a commit says is in the tree that its account signed. What was before is a relay's word.
    **dict.fromkeys(("hidden-op", "added-op", "false-update", "rewritten-prev-data"), Outcome()),
    # The account itself built the tree so, and the way to the record is plain.
    **dict.fromkeys(("misplaced-key", "misplaced-root", "unordered-keys", "long-prefix"), Outcome()),
    **_marked("stripped", by=Failure.LEGACY_COMMIT),  # no prevData was proven before
}
"""What VERIFY=signatures does otherwise than VERIFY=full, whose outcomes are above. One without a name passes."""


def leave_handles_open(model: Model) -> None:
    """Which handles are verified depends on whose document was looked up, and when."""
    rows = model.expected().rows
    for row in (*rows["users"].values(), *rows["unified_worker.repos"].values()):
        row["handle"] = UNDETERMINED


async def learn(connection: "asyncpg.Connection[Any]", settings: Settings) -> None:
    """Has the worker know the keys of all accounts, as after an import of the directory."""
    dids = [keys.did(settings.seed, number) for number in range(settings.accounts)]
    signers = [keys.signer(settings.seed, number) for number in range(settings.accounts)]
    known = [
        key_bytes(signing_key(did, keys.did_document(did, "a.test", signer))) for did, signer in zip(dids, signers, strict=True)
    ]
    many = len(dids)
    await connection.execute(WRITE, dids, known, [None] * many, [int(time.time())] * many, [int(State.KNOWN)] * many)
