"""What thread gates and post gates say of posts."""

from dataclasses import dataclass
from datetime import datetime

from testing.model.history import History
from testing.model.names import UNDETERMINED, Pair, Row, Stored, Undetermined
from testing.model.posts import mentions, parent_uri, quote, root_uri
from testing.model.protocol import authority, field_of, items_of
from testing.model.tables import unrestricted

DISABLE_RULE = "app.bsky.feed.postgate#disableRule"


@dataclass(frozen=True)
class Gates:
    """The gates that are there, by their posts' URIs, and what they are judged by: posts by URI, pairs and
    gates by when their commits came."""

    thread: dict[str, Row]
    post: dict[str, Row]
    posts: dict[str, Stored]
    pairs: dict[Pair, datetime]
    since: dict[str, datetime]
    history: History

    def columns(self, post: Stored) -> Row:
        """The four columns of a post's row."""
        quoted = quote(post)
        return {
            "has_thread_gate": post.uri in self.thread,
            "has_post_gate": post.uri in self.post,
            "violates_thread_gate": self._violates_thread_gate(post),
            "violates_embedding_rules": quoted is not None
            and post.did != authority(quoted.uri)
            and self._disables_embedding(quoted.uri),
        }

    def _disables_embedding(self, uri: str) -> bool:
        rules = items_of(self.post[uri]["embedding_rules"]) if uri in self.post else []
        return any(field_of(rule, "$type") == DISABLE_RULE for rule in rules)

    def _violates_thread_gate(self, reply: Stored) -> bool | Undetermined:
        """By its root's gate; or as the gate of the thread that its parent was in said of it when it came."""
        verdict = self._violates_root_s_gate(reply)
        return UNDETERMINED if verdict is False and self._met_another_gate(reply) else verdict

    def _met_another_gate(self, reply: Stored) -> bool:
        """Whether its parent ever was in another thread, which others ever gated. Neither is of the reply's repo."""
        threads = self.history.threads.get(parent_uri(reply) or "", set()) - {root_uri(reply)}
        return any(thread in self.history.gated and reply.did != authority(thread) for thread in threads)

    def _violates_root_s_gate(self, reply: Stored) -> bool | Undetermined:
        root = root_uri(reply)
        if root is None or root not in self.thread or reply.did == authority(root):
            return False
        if reply.time < self.since[root]:  # it keeps what the gates before this one made of it
            sure = authority(root) not in self.history.wiped and reply.time < self.history.gated[root].first
            return False if sure else UNDETERMINED
        if unrestricted(self.thread[root]):
            return False
        gate = self.thread[root]
        if gate["allow_mentions"] and root in self.posts and reply.did in mentions(self.posts[root]):
            return False
        pairs: list[tuple[Pair, str, str]] = []
        if gate["allow_following"]:
            pairs += [((authority(root), reply.did), authority(root), root)]
        if gate["allow_followers"]:
            pairs += [((reply.did, authority(root)), reply.did, reply.uri)]
        if gate["allow_list_members"]:
            pairs += [((uri, reply.did), authority(uri), root) for uri in gate["allow_list_uris"]]
        verdicts = [self._admits(pair, owner, judged, reply.time) for pair, owner, judged in pairs]
        if True in verdicts:
            return False
        return UNDETERMINED if UNDETERMINED in verdicts else True

    def _admits(self, pair: Pair, owner: str, judged: str, time: datetime) -> bool | Undetermined:
        """Whether the pair was there, and not younger than the reply, when the reply was judged last."""
        change = self.history.pairs.get(pair)
        if change is None or change.first > time:
            return False
        if self.history.settled(pair, owner, judged):
            return pair in self.pairs and self.pairs[pair] <= time
        return UNDETERMINED
