"""Gates of posts: who may answer, who may embed. Shapes: the lexicons app.bsky.feed.threadgate and app.bsky.feed.postgate."""

from random import Random

from relay_simulator.encoding import Value
from relay_simulator.records import Record

THREAD_GATE = "app.bsky.feed.threadgate"
POST_GATE = "app.bsky.feed.postgate"


def thread_gate(rng: Random, created: str, post_uri: str, lists: list[str]) -> Record:
    """Who may answer a post: nobody, everybody, or some; `lists` are those whose members may."""
    record: Record = {"$type": THREAD_GATE, "post": post_uri, "createdAt": created}
    rules: list[Value] = [_rule("list", list=uri) for uri in lists]
    rules += [_rule(kind) for kind in ("mention", "following") if rng.random() < 0.5]
    chance = rng.random()
    if chance < 0.2:
        rules = []
    elif chance < 0.25:
        rules.append(_rule("follower"))  # the lexicon's youngest; that there are rules of a kind unknown is what matters
    if chance < 0.9:
        rng.shuffle(rules)
        record["allow"] = rules
    if rng.random() < 0.1:
        record["hiddenReplies"] = [post_uri]
    return record


def _rule(kind: str, **fields: Value) -> Record:
    return {"$type": f"{THREAD_GATE}#{kind}Rule", **fields}


def post_gate(rng: Random, created: str, post_uri: str) -> Record:
    """Whether a post may be embedded."""
    record: Record = {"$type": POST_GATE, "post": post_uri, "createdAt": created, "detachedEmbeddingUris": []}
    chance = rng.random()
    if chance < 0.7:
        record["embeddingRules"] = [{"$type": f"{POST_GATE}#disableRule"}]
    elif chance < 0.85:
        record["embeddingRules"] = []
    return record
