"""What aiohttp says of requests: of those that are no HTTP a line now and then, for anybody can send them without end."""

import logging

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from unified_indexer.log.handler import warn_limited

log = logging.getLogger(__name__)

OF_CLIENTS = (HttpProcessingError, RequestPayloadError)  # aiohttp answers 400, or ends the connection, and logs a traceback
REFUSED = "HTTP: a request that is no proper HTTP was refused (%s)"


def requests_log() -> logging.Logger:
    """The log for aiohttp's server: faults of our own are logged as ever."""
    requests = log.getChild("requests")
    requests.addFilter(_of_ours)
    return requests


def _of_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, OF_CLIENTS):
        return True
    warn_limited(log, "malformed", REFUSED, type(error).__name__)  # its text may hold what the client sent
    return False
