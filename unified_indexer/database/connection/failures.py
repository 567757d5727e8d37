"""What an error of the database requires: the same call again, another way, or an operator."""

from enum import Enum, auto

import asyncpg

READ_ONLY = "25006"  # a standby, or a database that its operator or hoster protects

# The classes of SQLSTATE that speak of the server and its set-up, not of what a commit holds: the same again, with a log line.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
SERVER_CLASSES = (
    *("08", "40", "53", "57", "58"),  # connections, rollbacks (deadlocks), resources, the operator's hand, the system
    *("0A", "25", "28", "3D", "55"),  # features, transaction states (read-only), logins, databases, states of objects
    *("09", "0B", "0L", "0P", "24", "26", "27", "2B", "2D", "34", "3B"),  # names and states that only our own code could spoil
    *("72", "F0", "HV", "XX"),  # snapshots, its configuration file, foreign data, what it can't explain itself
)
SCHEMA_CLASSES = ("42", "3F")  # no such table, column or function, no right to it; no such schema
# All others are the commit's own: values (21, 22), constraints (23), limits (54), and whatever an application's triggers raise
# (P0, 38, 44, or a class of their own). Such a commit becomes a dead letter.
# What asyncpg raises when a connection or a statement fails, the connection's own loss included.
DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class Unavailable(ConnectionError):
    """No connection could be made, for whatever reason: nothing was sent, so nothing was refused."""


class Remedy(Enum):
    """What to do about an error of the database."""

    RETRY = auto()  # repeat the same; nothing of it was wrong
    SCHEMA = auto()  # the tables or the rights are not what they were: only an operator can mend that
    DATA = auto()  # this input can't be stored


def sqlstate(error: BaseException) -> str:
    """The five characters of a PostgreSQL error; 'client' for one that did not reach the server."""
    return getattr(error, "sqlstate", None) or "client"


def is_everybodys(error: BaseException) -> bool:
    """Whether the next statement would fail as well, because the connection or the server failed, not the statement."""
    state = sqlstate(error)
    of_the_server = state[:2] in ("08", "53", "58") or state[:3] == "57P" or state == "25006"
    return of_the_server or not isinstance(error, asyncpg.PostgresError)


def statement(error: BaseException) -> str:
    """The statement that failed inside one of our functions, shortened; empty if the server does not say."""
    context: str | None = getattr(error, "context", None)
    return " ".join((context or "").split())[:120]


def remedy(error: BaseException) -> Remedy:
    """The remedy of an error that a statement raised."""
    state = sqlstate(error)
    if state[:2] in SERVER_CLASSES:
        return Remedy.RETRY
    if state[:2] in SCHEMA_CLASSES:
        return Remedy.SCHEMA
    if isinstance(error, asyncpg.PostgresError | asyncpg.DataError):
        return Remedy.DATA
    return Remedy.RETRY  # the connection itself failed
