"""The #commit message of a commit that is packed, and its truth."""

from collections.abc import Sequence

from relay_simulator.encoding import cid_text, time_text
from relay_simulator.records import Record
from relay_simulator.repository import Account, Draft, Packed
from relay_simulator.truth import CommitTruth


def commit_message(
    account: Account, drafts: Sequence[Draft], rev: str, packed: Packed, *, seq: int, now: int
) -> tuple[Record, CommitTruth]:
    """The payload and the truth of a commit at `now` (µs since 1970). The account stands where it stood before."""
    payload: Record = {
        "seq": seq,
        "repo": account.did,
        "rev": rev,
        "since": account.rev,
        "commit": packed.root,
        "prevData": account.data,
        "blocks": packed.blocks,
        "ops": packed.ops,
        "blobs": [],
        "time": time_text(now),
        "tooBig": False,
        "rebase": False,
    }
    truths = tuple(draft.truth() for draft in drafts)
    data = cid_text(packed.data)
    return payload, CommitTruth(seq, account.did, rev, account.rev, time_text(now), truths, False, packed.sound, data)
