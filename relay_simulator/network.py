"""The network's state as the stream has made it, and the dice: who acts, on what, and the drafts of what they write."""

from collections import deque
from collections.abc import Callable
from hashlib import sha256
from random import Random

from relay_simulator import keys, records
from relay_simulator.encoding import CID_DAG_CBOR, cid_text, tid, time_text
from relay_simulator.records import FOLLOW, LIKE, POST, PROFILE, REPOST, Known, Record, Ref
from relay_simulator.repository import Account, Draft, Written, written

KNOWN_POSTS = 4_000  # what people look at: the newest so many posts
HOT = 2.5  # how steeply attention falls off with a post's age
SECOND = 1_000_000  # µs
DAY = 86_400 * SECOND


class Network:
    """Accounts, what they have written, and the posts that are looked at. `open_account` prepares one on its first act."""

    def __init__(self, seed: int, accounts: int, start: int, open_account: Callable[[Account], None]) -> None:
        self.rng = Random(f"traffic {seed}")
        self.now = start
        self._seed = seed
        self._open = open_account
        self._accounts: list[Account | None] = [None] * accounts
        self._writers: deque[Account] = deque(maxlen=KNOWN_POSTS)
        self._known: deque[Known] = deque(maxlen=KNOWN_POSTS)
        for _ in range(200):  # posts from before the stream
            author = keys.did(seed, self.rng.randrange(accounts))
            rkey = tid(start - self.rng.randrange(DAY), 0)
            ref = Ref(f"at://{author}/{POST}/{rkey}", cid_text(CID_DAG_CBOR + sha256(rkey.encode()).digest()))
            self._known.append(Known(ref, ref, author))

    def account(self) -> Account:
        """Any account, with equal chance."""
        number = int(self.rng.random() * len(self._accounts))
        found = self._accounts[number]
        if found is None:
            found = Account(number, keys.did(self._seed, number), self.rng.randrange(1024))
            self._open(found)
            self._accounts[number] = found
        return found

    def known_accounts(self) -> list[Account]:
        """Those that have acted so far."""
        return [account for account in self._accounts if account is not None]

    def writer(self, *collections: str) -> tuple[Account, Written] | None:
        """A recent writer and a record of theirs, of these collections if any are named; None if luck is out."""
        for _ in range(20):
            if not self._writers:
                return None
            account = self._writers[int(self.rng.random() * len(self._writers))]
            if account.active and account.records:
                record = account.records[int(self.rng.random() * len(account.records))]
                if not collections or record.collection in collections:
                    return account, record
        return None

    def known(self) -> Known:
        """A post that is being looked at: mostly a new one."""
        behind = int(len(self._known) * self.rng.random() ** HOT)
        return self._known[-1 - behind]

    def created(self) -> str:
        """A createdAt of about now, as the various clients write it."""
        micros = self.now - int(self.rng.random() * 2 * SECOND)
        text = time_text(micros)
        style = self.rng.random()
        if style < 0.9:
            return text
        if style < 0.95:
            return f"{text[:-1]}{micros % 1000:03d}Z"
        if style < 0.98:
            return time_text(micros + 3600 * SECOND)[:-1] + "+01:00"
        return text[:19] + "Z"

    def record(self, collection: str) -> Record:
        """A new record of this collection."""
        rng = self.rng
        created = self.created()
        via = self.known().ref if rng.random() < 0.05 else None
        if collection == LIKE:
            return records.like(created, self.known().ref, via)
        if collection == REPOST:
            return records.repost(created, self.known().ref, via)
        if collection == FOLLOW:
            return records.follow(created, keys.did(self._seed, rng.randrange(len(self._accounts))))
        if collection == PROFILE:
            return records.profile(rng, created, via or self.known().ref)
        if collection == POST:
            parent = self.known() if rng.random() < 0.4 else None
            quoted = self.known().ref if rng.random() < 0.08 else None
            return records.post(rng, created, parent, quoted, self.known().author)
        return records.other(rng, created, self.known().author, self.known().ref)

    def create(self, account: Account, collection: str) -> Draft:
        """The draft of a new record; the network knows of it from now on."""
        return self.write(account, self.record(collection))

    def write(self, account: Account, record: Record) -> Draft:
        """The draft of this new record under a new key; a second profile of one account is an update."""
        collection = str(record["$type"])
        if collection == PROFILE:
            action = "update" if account.has_profile else "create"
            account.has_profile = True
            return written(action, PROFILE, "self", record)
        draft = written("create", collection, self.rkey(account), record)
        self.note(account, draft, record)
        return draft

    def note(self, account: Account, draft: Draft, record: Record) -> None:
        """Keep a created record in mind, for its deletion, its update, and, if it is a post, for others to see."""
        account.records.append(Written(draft.collection, draft.rkey, record.get("subject")))
        self._writers.append(account)
        if draft.collection == POST and draft.cid is not None:
            ref = Ref(f"at://{account.did}/{draft.path}", cid_text(draft.cid))
            self._known.append(Known(ref, _root(record) or ref, account.did))

    def delete(self, account: Account, record: Written) -> Draft:
        """The draft of a record's deletion."""
        account.records.remove(record)
        return Draft("delete", record.collection, record.rkey)

    def rkey(self, account: Account) -> str:
        """A record key that the account has not used."""
        return account.next_tid(self.now - int(self.rng.random() * SECOND))


def _root(record: Record) -> Ref | None:
    match record.get("reply"):
        case {"root": {"uri": str(uri), "cid": str(cid)}}:
            return Ref(uri, cid)
        case _:
            return None
