"""Network addresses as operators write them: a relay's address, and one to listen on."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

MAX_PORT = 65_535
DNS_PORT = 53
SUBSCRIBE_PATH = "/xrpc/com.atproto.sync.subscribeRepos"


def listening(text: str) -> tuple[str, int]:
    """Split `host:port`; an IPv6 address loses its brackets. Raises ValueError for anything else."""
    host, _, port = text.strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not _is_host(bare, bracketed=bare != host) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > MAX_PORT:
        raise ValueError(text)
    return bare, int(port)


def host_name(text: str) -> str | None:
    """Return a name, or an address without its brackets, in lower case; None for anything else."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    is_one = _is_host(bare, bracketed=True) or (bare == text and _is_host(bare, bracketed=False))
    return bare.lower() if is_one else None


def http_origin(text: str) -> str:
    """Return http(s)://host[:port] in lower case, without the scheme's own port. Raises ValueError for anything else."""
    parts = urlsplit(text.strip())
    host, port = parts.hostname or "", parts.port  # raises ValueError itself for a port that is none
    is_ipv6 = _is_host(host, bracketed=True)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.path not in ("", "/") or port == 0:
        raise ValueError(text)
    if parts.query or parts.fragment or not (is_ipv6 or _is_host(host, bracketed=False)):
        raise ValueError(text)
    place = f"[{host}]" if is_ipv6 else host
    return f"{parts.scheme}://{place}{f':{port}' if port not in (None, 443 if parts.scheme == 'https' else 80) else ''}"


def name_server(text: str) -> tuple[str, int]:
    """An IP address and a port of address[:port], port 53 where none is written; IPv6 with a port has brackets. Raises
    ValueError for anything else."""
    bare = text.strip()
    try:
        return str(ip_address(bare.removeprefix("[").removesuffix("]"))), DNS_PORT
    except ValueError:
        host, port = listening(bare)
        return str(ip_address(host)), port


def named_host(host: str) -> str | None:
    """The host, if it is a name that name servers are asked for; None for an address, `localhost`, or nothing."""
    try:
        ip_address(host)
    except ValueError:
        return host if "." in host else None
    return None


def on_this_machine(relay_url: str) -> bool:
    """Whether that relay is on this machine, as far as its URL shows."""
    return _reach_of(relay_url.partition("://")[2]) == "this machine"


def perhaps_without_tls(relay: str) -> str | None:
    """The warning about a relay's host without a scheme in a private network, where relays often have no certificate. The
    worker still uses TLS, because leaving it out is the operator's decision. None too for what is unusable: it may hold a
    password."""
    if "://" in relay or not _is_usable(relay) or _reach_of(relay) != "a private network":
        return None
    return f"is in a private network and has no scheme: using wss (with TLS); write ws://{relay} for a relay without TLS"


def _is_usable(relay: str) -> bool:
    try:
        normalised_relay(relay)
    except ValueError:
        return False
    return True


def _reach_of(text: str) -> str:
    """Where a host without a scheme is, as far as its text tells: this machine, a private network, or elsewhere."""
    try:
        host = (urlsplit(f"//{text}").hostname or "").lower()
        if host == "localhost":
            return "this machine"
        address = ip_address(host)
    except ValueError:
        return "elsewhere"
    return "this machine" if address.is_loopback else "a private network" if address.is_private else "elsewhere"


def _is_host(host: str, *, bracketed: bool) -> bool:
    """Whether it is an IPv6 address, in brackets, or a name or an IPv4 address."""
    if bracketed:
        return re.fullmatch(r"[0-9a-f:.]*:[0-9a-f:.]*", host, re.IGNORECASE) is not None
    # Underscores are no part of a host name on the internet, but container networks have them.
    labels = host.split(".")
    return len(host) <= 253 and all(re.fullmatch(r"\w([\w-]{0,61}\w)?", label, re.ASCII) for label in labels)


def normalised_relay(text: str) -> str:
    """Return a relay's host or URL as `ws(s)://host[:port]`. The endpoint's own path is accepted. A bare host means wss, unless
    it is this machine: local traffic needs no TLS, and no authority certifies `localhost`.

    Raises ValueError with what is wrong and the remedy. The text itself is not in it: it may hold a password.
    """
    if re.match(r"wss?:/[^/]", text, re.IGNORECASE):
        raise ValueError("has one slash instead of two; write wss://host")
    url = text if "://" in text else f"{'ws' if _reach_of(text) == 'this machine' else 'wss'}://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("has an unusable host or port; write wss://host or wss://host:port, port 1 to 65535") from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("ws", "wss"):
        raise ValueError("must begin with wss:// or ws://, or be only a host (wss://bsky.network)")
    if "@" in parts.netloc:
        raise ValueError("contains a user or password, which relays do not use: write wss://host")
    if parts.query or parts.fragment or parts.path.rstrip("/") not in ("", SUBSCRIBE_PATH):
        raise ValueError("contains a path or a query; write only wss://host, and set CURSOR for where to start")
    is_ipv6 = _is_host(host, bracketed=True)
    if not (is_ipv6 or _is_host(host, bracketed=False)) or port == 0:
        raise ValueError("has an unusable host or port; write wss://host or wss://host:port, port 1 to 65535")
    place = f"[{host}]" if is_ipv6 else host
    own_port = 443 if parts.scheme == "wss" else 80
    return f"{parts.scheme}://{place}" if port in (None, own_port) else f"{parts.scheme}://{place}:{port}"
