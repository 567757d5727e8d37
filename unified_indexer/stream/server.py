"""What the server must be: no cluster, nothing evicted; and how much memory it has."""

from typing import NamedTuple

from unified_indexer.errors import OperatorError
from unified_indexer.stream.engine import CLUSTERED, Engine

SENTINEL = "{setting} names a sentinel: write the address of the primary that it watches, or a proxy that leads there"
EVICTS = (
    "the stream's server has maxmemory-policy {policy}, which drops entries that nobody has read: set it to noeviction "
    "(CONFIG SET maxmemory-policy noeviction, and in its configuration)"
)
UNLIMITED_SHARE = 0.5  # of the machine's memory, where the server has no limit


class Server(NamedTuple):
    """Memory in bytes. `limited`: an operator set the limit."""

    used: int
    limit: int
    limited: bool
    replica: bool


async def look(engine: Engine) -> Server:
    """What the server says of itself. Raises OperatorError for a server that can't hold the stream."""
    said: dict[str, str] = {}
    for reply in await engine.ask(("INFO", "server"), ("INFO", "memory"), ("INFO", "replication")):
        lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
        said |= {name: value.strip() for name, _, value in lines}
    match said.get("redis_mode", said.get("server_mode")):  # as Redis calls it, and as Valkey does
        case "cluster":
            raise OperatorError([CLUSTERED])
        case "sentinel":
            raise OperatorError([SENTINEL.format(setting=engine.address.setting)])
        case _:
            pass
    policy = said.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise OperatorError([EVICTS.format(policy=policy)])
    limit = _bytes(said, "maxmemory")
    whole = limit or int(_bytes(said, "total_system_memory") * UNLIMITED_SHARE) or 2**62
    return Server(_bytes(said, "used_memory"), whole, limit > 0, said.get("role") == "slave")


def _bytes(said: dict[str, str], name: str) -> int:
    text = said.get(name, "")
    return int(text) if text.isdecimal() else 0
