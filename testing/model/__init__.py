"""What the database should hold after a stream: slow, obvious, and without a line of the indexer's.

The model keeps every accepted record by its URI, as the simulator's truth says it, and works all tables out anew when asked:
protocol.py   what the protocol's values mean
names.py      collections, and the shapes that the parts hand to one another
checks.py     which records are accepted
posts.py      what a post says
tables.py     a record's own row
expected.py   all tables, with what follows from the records
gates.py      what gates say of posts
notices.py    notifications
history.py    what the order of events decided
states.py     how far a repo is complete and proven
model.py      Model: takes the stream's truths
compare.py    compare(model, connection): the differences
parts.py      parts(model, count): the same of a large one, some accounts at a time
The rules are those of the schema's description ("What the rows mean") and of the settled rules on duplicates and revs.
"""

from testing.model.compare import compare
from testing.model.model import Model
from testing.model.names import (
    BLOCK,
    FOLLOW,
    GENERATOR,
    LABELER,
    LIKE,
    LIST,
    LIST_BLOCK,
    LIST_ITEM,
    POST,
    POST_GATE,
    PROFILE,
    REPOST,
    STARTER_PACK,
    THREAD_GATE,
    UNDETERMINED,
    VERIFICATION,
)
from testing.model.protocol import instant

__all__ = [
    "BLOCK",
    "FOLLOW",
    "GENERATOR",
    "LABELER",
    "LIKE",
    "LIST",
    "LIST_BLOCK",
    "LIST_ITEM",
    "POST",
    "POST_GATE",
    "PROFILE",
    "REPOST",
    "STARTER_PACK",
    "THREAD_GATE",
    "UNDETERMINED",
    "VERIFICATION",
    "Model",
    "compare",
    "instant",
]
