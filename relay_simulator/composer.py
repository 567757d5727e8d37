"""What an account would write now: records of every collection about what the network knows."""

from collections.abc import Callable

from relay_simulator import gates, graph, records, services
from relay_simulator.encoding import tid
from relay_simulator.gates import POST_GATE, THREAD_GATE
from relay_simulator.graph import BLOCK, LIST, LIST_BLOCK, LIST_ITEM, STARTER_PACK, VERIFICATION
from relay_simulator.network import DAY, Network
from relay_simulator.records import FOLLOW, LIKE, POST, PROFILE, REPOST, Known, Record, Ref
from relay_simulator.repository import Account, Draft
from relay_simulator.services import GENERATOR, LABELER

VERIFIED = 8  # accounts of whom most people vouch: few, so that several do of one


class Composer:
    """Writes for accounts; the dice are the network's."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._rng = network.rng
        self._writers: dict[str, Callable[[Account], Record]] = {
            LIKE: self.like,
            REPOST: self.repost,
            POST: self.post,
            FOLLOW: lambda _: records.follow(network.created(), network.any_did()),
            PROFILE: self._profile,
            BLOCK: lambda _: graph.block(network.created(), network.known().author),
            LIST: lambda _: graph.user_list(self._rng, network.created()),
            LIST_ITEM: lambda account: graph.list_item(network.created(), self.own_list(account), network.known().author),
            LIST_BLOCK: lambda account: graph.list_block(network.created(), self._seen(LIST) or self.own_list(account)),
            STARTER_PACK: self._starter_pack,
            VERIFICATION: self._verification,
            GENERATOR: lambda _: services.generator(self._rng, network.created()),
            LABELER: lambda _: services.labeler(self._rng, network.created()),
            THREAD_GATE: lambda account: self.thread_gate(account, self._own_post(account)),
            POST_GATE: lambda account: self.post_gate(self._own_post(account)),
        }

    def record(self, account: Account, collection: str) -> Record:
        """A new record of this collection; of any without a meaning if it is none of those that are known here."""
        if collection in self._writers:
            return self._writers[collection](account)
        return services.generic(self._rng, self._network.created())

    def create(self, account: Account, collection: str) -> Draft:
        """The draft of a new record; the network knows of it from now on."""
        return self._network.write(account, self.record(account, collection))

    def rewritten(self, account: Account, collection: str, rkey: str) -> Record:
        """A record that is there under this key, with all its content new."""
        if collection == services.PLAY:
            return services.play(self._rng, self._network.created())
        record = self.record(account, collection)
        if collection in (THREAD_GATE, POST_GATE):
            record["post"] = f"at://{account.did}/{POST}/{rkey}"
        return record

    def like(self, account: Account, subject: Ref | None = None, via: Ref | None = None) -> Record:
        """A like of this, or of a post that is being looked at, at times of a feed or a labeler."""
        created = self._network.created()
        if subject is None and self._rng.random() < 0.02:
            subject = self._network.seen(self._rng.choice((GENERATOR, LABELER)))
        return records.like(created, subject or self._network.known().ref, via or self._via())

    def repost(self, account: Account, subject: Ref | None = None) -> Record:
        """A repost of this, or of a post that is being looked at."""
        created = self._network.created()
        return records.repost(created, subject or self._network.known().ref, self._via())

    def _via(self) -> Ref | None:
        if self._rng.random() < 0.95:
            return None
        return self._network.seen(REPOST) or self._network.known().ref

    def post(self, account: Account) -> Record:
        """A post that may answer, quote and mention."""
        parent = self._network.known() if self._rng.random() < 0.4 else None
        quoted = self._network.known().ref if self._rng.random() < 0.08 else None
        return self.answer(parent, quoted)

    def answer(self, parent: Known | None, quoted: Ref | None) -> Record:
        """A post in answer to this one, that quotes that one."""
        return records.post(self._rng, self._network.created(), parent, quoted, self._network.known().author)

    def _profile(self, account: Account) -> Record:
        pack = self._network.seen(STARTER_PACK) if self._rng.random() < 0.3 else None
        return records.profile(self._rng, self._network.created(), self._network.known().ref, pack)

    def _starter_pack(self, account: Account) -> Record:
        feeds = [feed.uri for feed in (self._network.seen(GENERATOR), self._network.seen(GENERATOR)) if feed is not None]
        return graph.starter_pack(self._rng, self._network.created(), self.own_list(account), feeds)

    def _verification(self, account: Account) -> Record:
        few = self._rng.random() < 0.7
        subject = self._network.account_of(self._rng.randrange(VERIFIED)) if few else self._network.account()
        return graph.verification(self._rng, self._network.created(), subject.did, subject.handle)

    def thread_gate(self, account: Account, post_uri: str) -> Record:
        """A gate of this post, perhaps for those on a list or two."""
        lists = [self.own_list(account) for _ in range(self._rng.choice((0, 0, 1, 2)))]
        other = self._seen(LIST)
        if other is not None and self._rng.random() < 0.1:
            lists.append(other)
        return gates.thread_gate(self._rng, self._network.created(), post_uri, lists)

    def post_gate(self, post_uri: str) -> Record:
        """A gate against, or for, the embedding of this post."""
        return gates.post_gate(self._rng, self._network.created(), post_uri)

    def _seen(self, collection: str) -> str | None:
        found = self._network.seen(collection)
        return None if found is None else found.uri

    def own_list(self, account: Account) -> str:
        """A list of the account's; one from before the stream if it has none."""
        own = account.own(LIST)
        rkey = self._rng.choice(own).rkey if own else self._old_rkey(account)
        return f"at://{account.did}/{LIST}/{rkey}"

    def _own_post(self, account: Account) -> str:
        own = account.own(POST)
        rkey = self._rng.choice(own[-5:]).rkey if own else self._old_rkey(account)
        return f"at://{account.did}/{POST}/{rkey}"

    def _old_rkey(self, account: Account) -> str:
        """The same every time, so that what is said of it may meet."""
        return tid(self._network.start - DAY, account.clock)
