"""DATABASE_URL: find its faults before anything connects, and show it without its password."""

import os
import re
from urllib.parse import parse_qsl, unquote_plus, urlsplit

# The connection parameters that asyncpg itself reads from a URL's query. Whatever else stands there it sends to the server as
# a setting, and the server then refuses the connection with "unrecognized configuration parameter".
_CLIENT_PARAMETERS = frozenset(
    {
        "database",
        "dbname",
        "gsslib",
        "host",
        "krbsrvname",
        "passfile",
        "password",
        "port",
        "service",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "target_session_attrs",
        "user",
    }
)
# Settings of the server that make sense in a URL; `options` carries any other (options=-c%20name%3Dvalue).
_SERVER_PARAMETERS = frozenset({"application_name", "options", "search_path"})

_POOL_SIZE = "remove it and set DB_POOL_SIZE"
_POOLER = "remove it, and connect to PostgreSQL itself: a pooler in transaction mode breaks session settings and locks"
_REMEDIES = {
    "connection_limit": _POOL_SIZE,
    "pool_size": _POOL_SIZE,
    "max_connections": _POOL_SIZE,
    "pgbouncer": _POOLER,
    "pool_mode": _POOLER,
    "schema": "write search_path=... instead",
    "currentschema": "write search_path=... instead",
    "ssl": "write sslmode=require (or verify-full) instead",
    "sslaccept": "write sslmode=require (or verify-full) instead",
    "channel_binding": "remove it; the client does not do channel binding",
}
_REMEDY = "remove it (a setting of the server is written options=-c%20name%3Dvalue)"


def redacted(url: str) -> str:
    """The URL with `***` for everything that may be a password; only `***` if it is not a URL. If in doubt, it hides."""
    scheme, mark, rest = url.partition("://")
    if not mark or not re.fullmatch(r"[a-zA-Z0-9+.-]{1,20}", scheme):
        return "***"
    # Up to the last @, since a password written without percent-encoding may hold any character.
    account, at, place = rest.rpartition("@")
    if at:
        user, colon, _ = account.partition(":")
        account = f"{user}:***" if colon else user
    place, question, query = place.partition("?")
    shown = "&".join(_without_secret(part) for part in query.split("&"))
    return f"{scheme}://{account}{at}{place}{question}{shown}"


def _without_secret(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}=***" if equals and "pass" in unquote_plus(name).lower() else parameter


def faults_of(url: str) -> list[str]:
    """List what makes this DATABASE_URL unusable, each with its remedy and without a password; empty if it is usable."""
    scheme, mark, _ = url.partition("://")
    if not mark or scheme not in ("postgres", "postgresql"):
        return [f"DATABASE_URL ({redacted(url)}) must begin with postgresql:// (postgresql://user:password@host:5432/database)"]
    try:
        parts = urlsplit(url)
    except ValueError:  # an IPv6 address without its closing bracket, or a bracket in the password
        return [f"DATABASE_URL ({redacted(url)}) has an unmatched bracket; write [ and ] in a password as %5B and %5D"]
    faults: list[str] = []
    if parts.fragment or parts.netloc.count("@") > 1 or ("@" not in parts.netloc and "@" in parts.path):
        faults.append(
            f"DATABASE_URL ({redacted(url)}) has an unescaped character in its user or password; "
            "write # as %23, @ as %40, / as %2F, ? as %3F"
        )
        return faults  # whatever else could be said of it would be about the wrong half
    hosts = parts.netloc.rpartition("@")[2]
    for host in hosts.split(",") if hosts else []:
        port = re.fullmatch(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::(\d{0,5}))?", host)
        if port is None or (port[1] and not 0 < int(port[1]) < 65536):
            faults.append(f"DATABASE_URL ({redacted(url)}) has no usable port; write host:port with a port from 1 to 65535")
    return faults + _faults_of_query(parts.query, redacted(url)) + _faults_of_hosts(hosts, parts.query, redacted(url))


def _faults_of_hosts(hosts: str, query: str, shown: str) -> list[str]:
    given = dict(parse_qsl(query))
    several = "," in hosts or "," in given.get("host", "")
    wanted = given.get("target_session_attrs") or os.environ.get("PGTARGETSESSIONATTRS")
    if several and wanted not in ("read-write", "primary"):
        return [f"DATABASE_URL ({shown}) names several hosts, but only one accepts writes: add target_session_attrs=read-write"]
    return []


def _faults_of_query(query: str, shown: str) -> list[str]:
    if not query:
        return []
    try:
        parameters = parse_qsl(query, strict_parsing=True, keep_blank_values=True)
    except ValueError:
        return [f"DATABASE_URL ({shown}) has a parameter without a value; write ?name=value&name=value"]
    names = dict.fromkeys(name for name, _ in parameters)
    return [
        f"DATABASE_URL has the parameter {name[:40]!r}, which the worker does not know: {_REMEDIES.get(name.lower(), _REMEDY)}"
        for name in names
        if name not in _CLIENT_PARAMETERS and name not in _SERVER_PARAMETERS
    ]
