"""Streams to measure: what one account writes, commit by commit, where the simulator's dice would not do."""

from datetime import UTC, datetime
from random import Random

from relay_simulator.encoding import car as make_car
from relay_simulator.encoding import car_section, cid_of, cid_text, frame, signed_commit, tid, time_text
from relay_simulator.records import LIKE, Record, Ref, like
from relay_simulator.repository import NO_SIGNATURE, Account, CheapRepositories, Draft, written
from relay_simulator.truth import AccountTruth, CommitTruth, Sent, SyncTruth

START = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp() * 1_000_000)  # µs
SECOND = 1_000_000  # µs
_REPOSITORIES = CheapRepositories(seed=0, padding=0)


class Author:
    """An account; `name` is 24 characters at most, of a-z and 2-7. Times are in seconds after the stream's beginning."""

    def __init__(self, name: str) -> None:
        self.did = f"did:plc:{name:a<24}"
        self._account = Account(0, self.did, clock=0)

    def commit(self, seq: int, second: float, *drafts: Draft, rev_second: float | None = None) -> Sent:
        """A commit at this second of the stream; its rev is of the same instant unless told otherwise."""
        at = START + int(second * SECOND)
        rev = tid(at if rev_second is None else START + int(rev_second * SECOND), 0)
        packed = _REPOSITORIES.pack(self._account, list(drafts), rev, keep=True)
        payload: Record = {
            "seq": seq, "repo": self.did, "rev": rev, "since": None, "commit": packed.root, "blocks": packed.blocks,
            "ops": packed.ops, "blobs": [], "time": time_text(at), "tooBig": False, "rebase": False,
        }  # fmt: skip
        truths = tuple(draft.truth() for draft in drafts)
        data, root = cid_text(packed.data), cid_text(packed.root)
        truth = CommitTruth(seq, self.did, rev, None, time_text(at), truths, False, False, data, root)
        return Sent(frame("#commit", payload), truth)

    def sync(self, seq: int, second: float) -> Sent:
        """A #sync: the repo stands at a rev of this second."""
        at = START + int(second * SECOND)
        rev = tid(at, 0)
        data = cid_of(rev.encode())
        block = signed_commit(self.did, rev, data, NO_SIGNATURE)
        root = cid_of(block)
        blocks = make_car(root, [car_section(root, block)])
        payload: Record = {"seq": seq, "did": self.did, "rev": rev, "time": time_text(at), "blocks": blocks}
        return Sent(frame("#sync", payload), SyncTruth(seq, self.did, rev, time_text(at), cid_text(data), cid_text(root)))

    def account(self, seq: int, second: float, *, active: bool, status: str | None = None) -> Sent:
        """An #account of this second."""
        time = time_text(START + int(second * SECOND))
        payload: Record = {"seq": seq, "did": self.did, "time": time, "active": active}
        truth = AccountTruth(seq, self.did, time, active, status)
        return Sent(frame("#account", payload if status is None else {**payload, "status": status}), truth)


def liking(action: str, rkey: str, subject: int, second: float = 0) -> Draft:
    """A like's creation or update, of made-up post number so-and-so; or its deletion."""
    if action == "delete":
        return Draft("delete", LIKE, rkey)
    post = f"at://did:plc:{'z' * 24}/app.bsky.feed.post/post{subject}"
    return written(action, LIKE, rkey, like(time_text(START + int(second * SECOND)), Ref(post, "bafy"), None))


def toggling(others: int, seed: int = 1) -> list[Sent]:
    """Ten accounts that create, delete and create one like each, again and again, between so many likes of other accounts.

    Ten thousandths of a second lie between two commits, and now and then two of one account follow at once.
    """
    rng = Random(seed)
    togglers = [Author(f"toggler{letter}") for letter in "abcdefghij"]
    there = dict.fromkeys(togglers, False)
    crowd = [Author(f"crowd{letter}{other}") for letter in "abcdefghij" for other in "abcdefghij"]
    sent: list[Sent] = []
    seq = 1_000

    def add(author: Author, draft: Draft) -> None:
        nonlocal seq
        seq += 1
        sent.append(author.commit(seq, seq / 100, draft))

    for number in range(others):
        add(rng.choice(crowd), liking("create", f"like{number}", number))
        for _ in range(rng.choice((0, 0, 0, 1, 3))):
            toggler = rng.choice(togglers[:3] if rng.random() < 0.7 else togglers)
            add(toggler, liking("delete" if there[toggler] else "create", "one", rng.randrange(1000), number))
            there[toggler] = not there[toggler]
    return sent
