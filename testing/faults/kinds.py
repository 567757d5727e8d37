"""Every kind of fault, by name."""

from testing.faults import accounts, database, failover, network, process, relay, second_relay, several, trust
from testing.faults.kind import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for part in (accounts, relay, second_relay, network, database, failover, process, trust, several)
    for kind in part.KINDS
}


def missing() -> dict[str, str]:
    """The kinds that this machine can't have, and why."""
    told = {name: kind.missing() for name, kind in KINDS.items()}
    return {name: reason for name, reason in told.items() if reason is not None}
