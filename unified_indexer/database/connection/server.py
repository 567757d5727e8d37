"""Which server the pool is connected to: chosen once, where the lock is taken, and the same for every later connection.

A URL may name several hosts. If each connection chose among them for itself, lanes could write to one server while the cursor
moves on another, for the seconds in which both take writes (any failover before the old primary is fenced).
"""

import socket
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import asyncpg

from unified_indexer.database.connection.failures import Unavailable
from unified_indexer.database.connection.sessions import Connection, settle

HOST_TIMEOUT = 3.0  # seconds for one of several hosts to answer
CONNECT_TIMEOUT = 10.0  # seconds for the only one

# A silent server is noticed by the socket: keepalive while it is idle or waits for an answer, the other while data are not
# acknowledged. Both end after some 12 s.
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 2}  # s, s, probes
USER_TIMEOUT = 12_000  # ms

# The timeline by where WAL is written now: the control file tells it only after the next checkpoint.
IDENTITY = """
SELECT system_identifier, pg_postmaster_start_time() AS started_at,
  CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline
FROM pg_control_system()
"""
WITHOUT_CONTROL = "SELECT NULL::bigint AS system_identifier, pg_postmaster_start_time() AS started_at, NULL::text AS timeline"


class Server(NamedTuple):
    """One run of one server: its system identifier, its start time, and the timeline that it writes.

    None where the user may not ask (some hosters), and the timeline of a standby.
    """

    system_identifier: int | None
    started_at: object
    timeline: str | None


class AnotherServer(Unavailable):
    """A new connection reached a different server than the one that holds the worker's lock."""


def hosts(url: str) -> list[str]:
    """The URL once for each host that it names, in order: in the address, or as the parameters `host` and `port`."""
    parts = urlsplit(url)
    account, at, place = parts.netloc.rpartition("@")
    if "," in place:
        return [url.replace(f"//{parts.netloc}", f"//{account}{at}{one}", 1) for one in place.split(",")]
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(query)
    if place or "," not in given.get("host", ""):
        return [url]
    ports = given.get("port", "").split(",")
    others = [(name, value) for name, value in query if name not in ("host", "port")]
    found: list[str] = []
    for number, host in enumerate(given["host"].split(",")):
        port = ports[min(number, len(ports) - 1)]
        one = urlencode([*others, ("host", host), *([("port", port)] if port else [])], quote_via=quote)
        found.append(f"{url.partition('?')[0]}?{one}")
    return found


async def identify(connection: Connection) -> Server:
    """Find out which server this connection reached."""
    try:
        row = await connection.fetchrow(IDENTITY)
    except asyncpg.InsufficientPrivilegeError:
        row = await connection.fetchrow(WITHOUT_CONTROL)
    assert row is not None
    return Server(*row)


async def ready_session(connection: Connection, expected: Server | None) -> Server:
    """Prepare a new connection for work. Raises AnotherServer if it reached another server than `expected`."""
    watch_socket(connection)
    await settle(connection)
    found = await identify(connection)
    if expected is not None and found != expected:
        raise AnotherServer("a new connection reached a different server than the one that holds the worker's lock")
    return found


def watch_socket(connection: Connection) -> None:
    """Have the operating system close the connection if the server's machine is gone."""
    transport = connection._transport  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    found: socket.socket | None = transport.get_extra_info("socket")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if found is None or found.family == getattr(socket, "AF_UNIX", None):
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (*KEEPALIVE.items(), ("TCP_USER_TIMEOUT", USER_TIMEOUT)):
        if hasattr(socket, name):  # TCP_USER_TIMEOUT and TCP_KEEPIDLE are Linux'
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
