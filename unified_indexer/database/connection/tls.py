"""Faults in the encryption of the database connection that waiting does not cure, in words for the operator.

asyncpg itself reads sslmode and the other parameters, from the URL and from the environment, with libpq's meaning of them.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from unified_indexer.config.database_url import redacted

# The parameters that name files, and the variables that stand in for them.
FILES = {"sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcrl": "PGSSLCRL"}
# The connection ended in the midst of it: a server that stops or starts.
PASSING = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def tls_fault(error: BaseException, url: str, env: Mapping[str, str] = os.environ) -> str | None:
    """The fault behind an error of connecting to `url`, with its remedy; None if it has another cause, or may pass."""
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"DATABASE_URL: the certificate of {redacted(url)} is not trusted ({error.verify_message}): set "
                "sslrootcert=… (or PGSSLROOTCERT) to its certificate authority, and use the host name of the certificate"
            )
        case ssl.SSLError() if not isinstance(error, PASSING):
            return (
                f"DATABASE_URL: no encrypted connection to {redacted(url)} ({error}): "
                "correct sslrootcert, sslcert, sslkey or the TLS versions, here or on the server"
            )
        case ConnectionError() if "rejected SSL upgrade" in str(error):
            return (
                f"DATABASE_URL: {redacted(url)} does not encrypt, but sslmode requires it: "
                "enable ssl in the server, or write sslmode=prefer"
            )
        case FileNotFoundError() | PermissionError() | IsADirectoryError() | NotADirectoryError():
            return _unreadable(url, env)
        case _:
            return None


def _unreadable(url: str, env: Mapping[str, str]) -> str | None:
    given = dict(parse_qsl(urlsplit(url).query))
    for name, variable in FILES.items():
        path = given.get(name) or env.get(variable)
        if path and not (Path(path).is_file() and os.access(path, os.R_OK)):
            return (
                f"DATABASE_URL: {name} ({path}) is not a file that this user can read: correct the path, or the file's rights"
            )
    return None
