"""One look at a relay: the handshake, and where its stream is. Nothing of it is kept, and no cursor is asked for."""

import asyncio
from typing import NamedTuple

from unified_indexer.config.addresses import SUBSCRIBE_PATH
from unified_indexer.protocol.events import Info, StreamError, Unusable
from unified_indexer.protocol.frames import decode
from unified_indexer.relay.connection import CLOSED, UNREACHABLE, encryption, open_connection, origin, why_not

FIRST_EVENT = 5.0  # seconds; the public relay sends hundreds a second


class Seen(NamedTuple):
    """`origin`: what answered in the end, as ws(s)://host[:port]. `tls`: its version; None without TLS. `seq`: of the event
    that came first; None where none came within FIRST_EVENT. `said`: the relay's own message, if that came instead."""

    origin: str
    tls: str | None
    seq: int | None
    said: str


async def look(relay_url: str) -> Seen | str:
    """Connect to ws(s)://host[:port], wait for one event, and leave; or say why there was no connection.

    Raises OperatorError for a proxy setting that is unusable.
    """
    try:
        connection = await open_connection(relay_url + SUBSCRIBE_PATH, None)
    except UNREACHABLE as error:
        return why_not(error)
    seq: int | None = None
    said = ""
    try:
        async with asyncio.timeout(FIRST_EVENT):
            while seq is None and not said:
                message = await connection.recv()
                if not isinstance(message, bytes):
                    continue
                match decode(message, takes=lambda _did: False):
                    case Info() | StreamError() as event:
                        said = str(event.message)
                    case Unusable():
                        pass
                    case event:
                        seq = event.seq
    except TimeoutError:
        pass
    except CLOSED as closed:
        said = str(closed)
    finally:
        await connection.close()
    return Seen(origin(connection), encryption(connection), seq, said)
