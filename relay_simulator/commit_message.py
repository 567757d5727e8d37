"""The #commit message of a commit that is packed, and its truth."""

from collections.abc import Sequence

from relay_simulator.encoding import cid_text, time_text
from relay_simulator.records import Record
from relay_simulator.repository import Account, Draft, Packed
from relay_simulator.truth import CommitTruth


def commit_message(
    account: Account, drafts: Sequence[Draft], rev: str, packed: Packed, *, seq: int, now: int, kept: bool = True
) -> tuple[Record, CommitTruth]:
    """The payload and the truth of a commit at `now` (µs since 1970). The account stands where it stood before.

    `kept`: the repo stands at this commit from then on.
    """
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
    truth = CommitTruth(
        seq,
        account.did,
        rev,
        account.rev,
        time_text(now),
        truths,
        too_big=False,
        sound=packed.sound,
        data=cid_text(packed.data),
        commit=cid_text(packed.root) if kept else None,
        prev_data=cid_text(account.data),
    )
    return payload, truth
