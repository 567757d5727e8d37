"""`python -m unified_indexer.monitoring.healthcheck`, the image's HEALTHCHECK: exit code 0 while /healthz answers 200."""

import http.client
import os
import sys

from unified_indexer.config.addresses import listening
from unified_indexer.descriptors import open_standard

TIMEOUT = 5.0  # seconds
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # what listens there is reached here


def alive(bind: str) -> bool:
    """Whether the worker that serves at `bind` (host:port) answers."""
    host, port = listening(bind)
    connection = http.client.HTTPConnection(EVERYWHERE.get(host, host), port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{bind}: {error or type(error).__name__}\n")
        return False
    finally:
        connection.close()


def main() -> int:
    """Check the worker's health; return the exit code. With an empty HTTP_BIND there is nothing to check."""
    open_standard()
    bind = os.environ.get("HTTP_BIND", "")
    if not bind.strip():
        sys.stderr.write("HTTP_BIND is empty: there is no HTTP to check\n")
        return 0
    return 0 if alive(bind) else 1


if __name__ == "__main__":
    sys.exit(main())
