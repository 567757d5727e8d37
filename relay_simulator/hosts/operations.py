"""The directory's log: signed operations of every did:plc account, those before the stream and those that it brings.

Source: https://web.plc.directory/spec/v0.1/did-plc. Operations are chained and signed as there; only the DIDs are not hashes of
their first operations, since they are made before their keys. Of the accounts one in CREATE_SHARE began with a `create`, as
old ones did; one in RECOVERED_SHARE has an operation that a recovery has nullified; those after the others end in a tombstone.
"""

from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import NamedTuple

from relay_simulator import keys
from relay_simulator.encoding import Value, cid_of, cid_text, encode, time_text
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.standing import Shift, Standing

CREATE_SHARE = 10
RECOVERED_SHARE = 20
BEFORE = timedelta(days=400)  # how long before the stream the log begins
PACE = timedelta(seconds=10)  # from one operation to the next before the stream
_ROTATION = "rotation"  # whose key signs operations


class Entry(NamedTuple):
    """One operation in the log. `seq` counts from 1."""

    seq: int
    did: str
    operation: dict[str, Value]
    cid: str
    nullified: bool
    created_at: str


class Operations:
    """The log. It is made when it is first asked for, and grows with the ledger's shifts."""

    def __init__(self, ledger: Ledger, pds_urls: tuple[str, ...]) -> None:
        self._ledger = ledger
        self._pds_urls = pds_urls
        self._entries: list[Entry] = []
        self._last: dict[str, str] = {}  # the CID of each DID's last valid operation
        self._shifted = 0  # of the ledger's shifts

    def entries(self) -> list[Entry]:
        """All operations so far, in order of `seq` and of `created_at`."""
        self._ledger.advance()
        if not self._entries:
            for number in range(self._ledger.settings.accounts + self._ledger.gone):
                self._begin(self._ledger.first(number))
        for shift in self._ledger.shifts[self._shifted :]:
            self._shift(shift)
        self._shifted = len(self._ledger.shifts)
        return self._entries

    def _begin(self, standing: Standing) -> None:
        """The account's operations before the stream."""
        if not standing.did.startswith("did:plc:"):
            return
        began = standing.number % CREATE_SHARE == 0
        self._add(standing, self._create(standing) if began else self._operation(standing))
        if standing.number % RECOVERED_SHARE == 1:
            stolen = self._operation(standing)
            stolen["alsoKnownAs"] = [f"at://stolen{standing.number}.simulator.test"]
            self._add(standing, stolen, nullified=True)
            self._add(standing, self._operation(standing))
        if standing.tombstone:
            self._add(standing, {"type": "plc_tombstone", "prev": self._last[standing.did]})

    def _shift(self, shift: Shift) -> None:
        standing, time = shift
        tombstone: dict[str, Value] = {"type": "plc_tombstone", "prev": self._last[standing.did]}
        self._add(standing, tombstone if standing.tombstone else self._operation(standing), time)

    def _add(self, standing: Standing, unsigned: dict[str, Value], time: str | None = None, *, nullified: bool = False) -> None:
        signature = self._rotation(standing).sign(encode(unsigned))
        operation: dict[str, Value] = {**unsigned, "sig": urlsafe_b64encode(signature).decode().rstrip("=")}
        cid = cid_text(cid_of(encode(operation)))
        if not nullified:
            self._last[standing.did] = cid
        if time is None:
            at = self._ledger.settings.start - BEFORE + PACE * len(self._entries)
            time = time_text(int(at.timestamp() * 1_000_000))
        self._entries.append(Entry(len(self._entries) + 1, standing.did, operation, cid, nullified, time))

    def _rotation(self, standing: Standing) -> keys.Signer:
        """The key that may change the account's identity; it stays the same."""
        return keys.signer(self._ledger.settings.seed, standing.number, _ROTATION)

    def _operation(self, standing: Standing) -> dict[str, Value]:
        pds: Value = {"type": "AtprotoPersonalDataServer", "endpoint": self._pds_urls[standing.pds]}
        return {
            "type": "plc_operation",
            "rotationKeys": [_did_key(self._rotation(standing))],
            "verificationMethods": {"atproto": _did_key(self._ledger.key(standing))},
            "alsoKnownAs": [f"at://{standing.handle}"],
            "services": {"atproto_pds": pds},
            "prev": self._last.get(standing.did),
        }

    def _create(self, standing: Standing) -> dict[str, Value]:
        return {
            "type": "create",
            "signingKey": _did_key(self._ledger.key(standing)),
            "recoveryKey": _did_key(self._rotation(standing)),
            "handle": standing.handle,
            "service": self._pds_urls[standing.pds],
            "prev": None,
        }


def _did_key(key: keys.Signer) -> str:
    return f"did:key:{key.multibase}"
