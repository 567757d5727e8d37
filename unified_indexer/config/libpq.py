"""DATABASE_URL for PostgreSQL's own programs: as environment variables, which other users of the machine cannot read."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

# https://www.postgresql.org/docs/current/libpq-envars.html
VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "database": "PGDATABASE",
    "dbname": "PGDATABASE",
    "application_name": "PGAPPNAME",
    "gsslib": "PGGSSLIB",
    "krbsrvname": "PGKRBSRVNAME",
    "options": "PGOPTIONS",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "sslcert": "PGSSLCERT",
    "sslcrl": "PGSSLCRL",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


def environment_of(url: str) -> dict[str, str]:
    """The variables by which libpq connects to the database of a usable DATABASE_URL as asyncpg does.

    What stands before the `?` has priority, as there. The password of a client's key has no variable: psql asks for it.
    """
    parts = urlsplit(url)
    account, _, places = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    hosts = [re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?", place) for place in places.split(",")]
    before = {
        "host": ",".join(unquote(host[1]).strip("[]") for host in hosts if host is not None),
        "port": ",".join(host[2] or "" for host in hosts if host is not None),
        "user": unquote(user),
        "password": unquote(password),
        "database": unquote(parts.path.lstrip("/")),
    }
    query = dict(parse_qsl(parts.query))
    if "search_path" in query:
        path = re.sub(r"([ \\])", r"\\\1", query.pop("search_path"))  # a blank ends an option
        query["options"] = f"{query.get('options', '')} -c search_path={path}".strip()
    given = query | {name: value for name, value in before.items() if value.strip(",")}
    return {VARIABLES[name]: value for name, value in given.items() if name in VARIABLES}
