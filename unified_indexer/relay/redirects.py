"""Judge where a relay that has moved redirects us: another host or path of the same stream, and never from wss to ws."""

from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

MAX_HOPS = 5
STATUSES = (301, 302, 307, 308)
SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def followed(asked: str, at: str, place: str) -> str | None:
    """The URL to ask next, if `place` (a Location) is acceptable; None if it is not, or would leave TLS.

    `asked`: the URL that RELAY_URL led to at first, of whose path and cursor nothing is lost; `at`: what gave this answer.
    """
    try:
        target = urlsplit(urljoin(at, place))
        scheme = SCHEMES[target.scheme]
        host = (target.hostname or "").encode("idna").decode()
        port = "" if target.port is None else f":{target.port}"
    except (ValueError, KeyError):
        return None
    leaves_tls = scheme == "ws" and at.startswith("wss:")
    if not place or not place.isascii() or not host or leaves_tls:
        return None
    mine = urlsplit(asked)
    path = mine.path if target.path in ("", "/") else target.path
    own = parse_qsl(mine.query)
    query = urlencode([*((name, value) for name, value in parse_qsl(target.query) if name != "cursor"), *own])
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}://{bracketed}{port}{path}" + (f"?{query}" if query else "")
