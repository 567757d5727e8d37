"""Kept frames are proven before they are applied again, by the key that is known then."""

from collections.abc import Callable, Iterable

from unified_indexer.config.settings import Level
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.dead_letters.retry import Judging
from unified_indexer.errors import Rejected
from unified_indexer.identity import store
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.protocol.events import Unusable
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.keys import SigningKey, read_key
from unified_indexer.protocol.proving import Provable, proven, refused


def judged(
    event: Provable,
    key: SigningKey | NoIdentity | None,
    level: Level,
    former: Callable[[], Iterable[SigningKey]] = tuple,
) -> Provable | Unusable:
    """A kept event with its proof, or its refusal; `key` is what is known of its account, `former` keys of then."""
    if key is None:
        return refused(event, Failure.UNPROVEN, "its account's key is not known yet")
    if isinstance(key, NoIdentity):
        return refused(event, Failure.NO_IDENTITY, key.reason)
    return proven(event, key, full=level == "full", former=former)


async def judging(connection: Connection, did: str, level: Level) -> Judging | None:
    """What judges this account's events, by the key that is stored; None if nothing is to be proven."""
    if level == "off":
        return None
    key: SigningKey | NoIdentity | None = None
    for row in await store.read(connection, [did]):
        try:
            key = NoIdentity(row.state.name.lower()) if row.key is None else read_key(row.key)
        except Rejected:
            break
    return lambda event: judged(event, key, level)
