"""Some of the newest posts, for the page: at most a few per second, from batches that were just written."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import NamedTuple

import orjson

from unified_indexer.database.write.batch import KINDS, Batch
from unified_indexer.database.write.outcome import APPLIED, Outcome

INTERVAL = 0.5  # seconds from one post to the next: more than that nobody reads
KEPT = 12
MOST_SHOWN = 300  # characters: as long as the protocol's own posts may be
# What no page should be told by a stranger: controls but the line's end, and marks that turn the direction of what follows.
UNSEEN = dict.fromkeys((*range(10), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), " ")
POST, _ = KINDS["app.bsky.feed.post"]


class Post(NamedTuple):
    """A post as it was written: its at-uri, its author's DID and its text."""

    uri: str
    did: str
    text: str


class Newest:
    """`posts`: the posts that were kept last, newest first."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.posts: deque[Post] = deque(maxlen=KEPT)
        self.total = 0  # that were kept, in all
        self._clock = clock
        self._next = 0.0

    def sample(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Keep the first post of a batch that was just written, unless one was kept a moment ago."""
        now = self._clock()
        if now < self._next or POST not in batch.kind:
            return
        place = batch.kind.index(POST)
        commit = bisect_right(batch.lo, place + 1) - 1
        uri, rest = batch.uri[place], batch.rest[place]
        if outcomes[commit] != APPLIED or uri is None or rest is None:
            return
        if text := orjson.loads(rest)["text"]:
            self.posts.appendleft(Post(uri, batch.did[commit], text[:MOST_SHOWN].translate(UNSEEN)))
            self.total += 1
            self._next = now + INTERVAL
