"""The network's state as the stream has made it: who is there, what they have written, and what of it is looked at."""

from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from random import Random

from relay_simulator import keys
from relay_simulator.encoding import CID_DAG_CBOR, cid_text, tid, time_text
from relay_simulator.gates import POST_GATE, THREAD_GATE
from relay_simulator.graph import BLOCK, LIST, LIST_BLOCK, LIST_ITEM, STARTER_PACK, VERIFICATION
from relay_simulator.records import FOLLOW, LIKE, POST, PROFILE, REPOST, Known, Record, Ref
from relay_simulator.repository import Account, Draft, Written, written
from relay_simulator.services import DECLARATION, GENERATOR, LABELER, STATUS

KNOWN_POSTS = 4_000  # what people look at: the newest so many posts
KNOWN_OTHERS = 200  # the same of lists, feeds, labelers, starter packs and reposts
HOT = 2.5  # how steeply attention falls off with a post's age
SECOND = 1_000_000  # µs
DAY = 86_400 * SECOND
UNIQUE_FIELDS = {
    LIKE: ("subject",),
    REPOST: ("subject",),
    FOLLOW: ("subject",),
    BLOCK: ("subject",),
    LIST_ITEM: ("list", "subject"),
    LIST_BLOCK: ("subject",),
    VERIFICATION: ("subject",),
}
"""The fields of which a reader keeps one record only; for all but verifications, one an account."""
SINGLE = (PROFILE, LABELER, STATUS, DECLARATION)
"""Collections of which an account has one record, named 'self'."""


class Network:
    """Accounts, what they have written, and the posts that are looked at. `open_account` prepares one on its first act."""

    def __init__(
        self, seed: int, accounts: int, start: int, open_account: Callable[[Account], None], web_ports: Sequence[int] = ()
    ) -> None:
        self.rng = Random(f"traffic {seed}")
        self.now = self.start = start
        self._seed = seed
        self._web_ports = web_ports
        self._open = open_account
        self._accounts: list[Account | None] = [None] * accounts
        self._gone = 0
        self._numbers: dict[str, int] = {}  # of accounts that have acted, by DID
        self._writers: deque[Account] = deque(maxlen=KNOWN_POSTS)
        self._known: deque[Known] = deque(maxlen=KNOWN_POSTS)
        self._seen = {name: deque[Ref](maxlen=KNOWN_OTHERS) for name in (LIST, GENERATOR, LABELER, STARTER_PACK, REPOST)}
        for _ in range(200):  # posts from before the stream
            author = self.any_did()
            rkey = tid(start - self.rng.randrange(DAY), 0)
            ref = Ref(f"at://{author}/{POST}/{rkey}", cid_text(CID_DAG_CBOR + sha256(rkey.encode()).digest()))
            self._known.append(Known(ref, ref, author))

    def account(self) -> Account:
        """Any account that is not gone, with equal chance."""
        while True:
            account = self.account_of(int(self.rng.random() * len(self._accounts)))
            if not account.gone:
                return account

    def let_go(self, account: Account) -> bool:
        """Whether the account may go for good: nine in ten stay, so that there is always somebody."""
        if (self._gone + 1) * 10 > len(self._accounts):
            return False
        self._gone += not account.gone
        account.gone = True
        return True

    def account_of(self, number: int) -> Account:
        """The account of this number; there are fewer than some ask for, and then it is one of those."""
        number %= len(self._accounts)
        found = self._accounts[number]
        if found is None:
            found = Account(number, keys.did(self._seed, number, self._web_ports), self.rng.randrange(1024))
            self._open(found)
            self._accounts[number] = found
            self._numbers[found.did] = number
        return found

    def named(self, did: str) -> Account | None:
        """The account of this DID, if it has acted yet."""
        return self.account_of(self._numbers[did]) if did in self._numbers else None

    def any_did(self) -> str:
        """The DID of any account, whether it has acted or not."""
        return keys.did(self._seed, self.rng.randrange(len(self._accounts)), self._web_ports)

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

    def known_of(self, did: str, rkey: str) -> Known | None:
        """The post of this account and key, if it is still being looked at."""
        uri = f"at://{did}/{POST}/{rkey}"
        return next((known for known in reversed(self._known) if known.ref.uri == uri), None)

    def seen(self, collection: str) -> Ref | None:
        """A list, feed, labeler, starter pack or repost that was written lately; None while there is none."""
        seen = self._seen[collection]
        return seen[int(self.rng.random() * len(seen))] if seen else None

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

    def write(self, account: Account, record: Record) -> Draft:
        """The draft of this record under the key that is its due; a second 'self' of one account is an update."""
        collection = str(record["$type"])
        if collection in SINGLE:
            action = "update" if collection in account.singles else "create"
            account.singles.add(collection)
            draft = written(action, collection, "self", record)
            if collection == LABELER:
                self._seen[LABELER].append(Ref(f"at://{account.did}/{draft.path}", cid_text(draft.cid or b"")))
            return draft
        rkey = self.key(account, record)
        if any((old.collection, old.rkey) == (collection, rkey) for old in account.records):
            return written("update", collection, rkey, record)
        draft = written("create", collection, rkey, record)
        self.note(account, draft, record)
        return draft

    def key(self, account: Account, record: Record) -> str:
        """The key under which this account would write this record."""
        collection = str(record["$type"])
        if collection in SINGLE:
            return "self"
        if collection in (THREAD_GATE, POST_GATE):
            return str(record["post"]).rpartition("/")[2]
        return self.rkey(account)

    def note(self, account: Account, draft: Draft, record: Record) -> None:
        """Keep a created record in mind, for its deletion, its update, and for others to see."""
        collection = draft.collection
        key = {name: record[name] for name in UNIQUE_FIELDS.get(collection, ())}
        account.records.append(Written(collection, draft.rkey, key))
        self._writers.append(account)
        if draft.cid is not None:
            ref = Ref(f"at://{account.did}/{draft.path}", cid_text(draft.cid))
            if collection == POST:
                self._known.append(Known(ref, _root(record) or ref, account.did))
            elif collection in self._seen:
                self._seen[collection].append(ref)

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
