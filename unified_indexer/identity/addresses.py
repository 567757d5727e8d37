"""Which IP addresses are of the public internet: only those are dialled, whatever a document or a name server says.

Sources: IANA's special-purpose registries as Python's `ipaddress` has them, RFC 4291 (2000::/3 is all of global unicast),
RFC 3056 (6to4), RFC 4380 (Teredo) and RFC 6052 (NAT64), whose addresses hold an IPv4 address that a gateway would dial.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

GLOBAL_UNICAST = IPv6Network("2000::/3")
# Forms that lead to an IPv4 address, through gateways that need not be ours. No server of the public internet needs them.
EMBEDDING = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4
    IPv6Network("3fff::/20"),  # documentation
    IPv6Network("64:ff9b::/96"),  # NAT64
    IPv6Network("64:ff9b:1::/48"),  # NAT64 of a local network
)


def is_public(text: str) -> bool:
    """Whether `text` is the address of a host on the public internet. An address with a zone (fe80::1%eth0) is not."""
    if "%" in text:
        return False
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return _is_public_v4(address) if isinstance(address, IPv4Address) else _is_public_v6(address)


def _is_public_v4(address: IPv4Address) -> bool:
    # 192.88.99.0/24 was the anycast address of 6to4 gateways (RFC 7526 took it back), which Python counts as global.
    is_relay = address.packed[:3] == b"\xc0\x58\x63"
    return address.is_global and not (address.is_multicast or address.is_reserved or is_relay)


def _is_public_v6(address: IPv6Address) -> bool:
    if address.ipv4_mapped is not None or address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in EMBEDDING)
