"""Why something outside could not be fetched. The type says what may follow from it; `reason` is a fixed word, for counters.

Who fetches must tell apart: what a server said with authority, what our own rules refuse, and what may work the next time.
"""


class FetchError(Exception):
    """Nothing usable came. `status`: of HTTP, if an answer came at all. `error`, `message`: of an
    error's body, as XRPC has it; the message is the server's own text."""

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        error: str | None = None,
        message: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(" ".join(str(part) for part in (reason, status, error) if part is not None))
        self.reason = reason
        self.status = status
        self.error = error
        self.message = message
        self.retry_after = retry_after  # seconds; what the server asked for, bounded


class NotFound(FetchError):
    """It is not there: 404 (`not_found`), or the name has no address (`no_such_host`)."""


class Gone(FetchError):
    """It was there: 410 (`gone`)."""


class Refused(FetchError):
    """The server does not answer this question: another 4xx (`refused`)."""


class NotAllowed(FetchError):
    """Our own rules forbid it: `bad_url`, `private_address`, or a `redirect`. The same question would end the same."""


class Unreachable(FetchError):
    """It may work the next time: `timeout`, `connection`, `tls`, `dns`, `server_error`, `rate_limited`; or what came is not
    usable: `too_large`, `not_json`, `not_text`, `encoded`, `protocol`."""
