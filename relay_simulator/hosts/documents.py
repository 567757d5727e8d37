"""DID documents of accounts, and false ones."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeAlias

from relay_simulator import keys
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.standing import Standing

Document: TypeAlias = dict[str, Any]

_OTHER = "did:plc:zzzzzzzzzzzzzzzzzzzzzzzz"
_OTHER_KEY = keys.signer(0, 1_000_000)  # of nobody


def document(ledger: Ledger, standing: Standing, pds: str) -> Document:
    """The DID document of an account at this PDS. Those of did:web name key and service by fragments alone, as many do."""
    made: Document = keys.did_document(standing.did, standing.handle, ledger.key(standing), pds)
    if standing.did.startswith("did:web:"):
        made["verificationMethod"][0]["id"] = "#atproto"
    return made


def altered(made: Document, alteration: Altered | None) -> Document:
    """The document as a forger, or a careless host, would give it; the right one, if the alteration is none of documents."""
    if alteration is None or alteration.name not in ALTERATIONS:
        return made
    false = deepcopy(made)
    ALTERATIONS[alteration.name](false)
    return false


def _wrong_id(made: Document) -> None:
    made["id"] = _OTHER


def _foreign_controller(made: Document) -> None:
    made["verificationMethod"][0]["controller"] = _OTHER


def _foreign_key(made: Document) -> None:
    made["verificationMethod"][0]["publicKeyMultibase"] = _OTHER_KEY.multibase


def _two_keys(made: Document) -> None:
    made["verificationMethod"].append({**made["verificationMethod"][0], "publicKeyMultibase": _OTHER_KEY.multibase})


def _two_keys_first(made: Document) -> None:
    made["verificationMethod"].insert(0, {**made["verificationMethod"][0], "publicKeyMultibase": _OTHER_KEY.multibase})


def _no_key(made: Document) -> None:
    made["verificationMethod"] = []


def _bad_key(made: Document) -> None:
    made["verificationMethod"][0]["publicKeyMultibase"] = "zNoKey"


def _no_pds(made: Document) -> None:
    made["service"] = []


def _private_pds(made: Document) -> None:
    made["service"][0]["serviceEndpoint"] = "https://169.254.169.254"


def _pds_with_path(made: Document) -> None:
    made["service"][0]["serviceEndpoint"] += "/path"


def _other_handle(made: Document) -> None:
    made["alsoKnownAs"] = ["at://somebody-else.simulator.test"]


def _no_handle(made: Document) -> None:
    made["alsoKnownAs"] = []


ALTERATIONS: dict[str, Callable[[Document], None]] = {
    "wrong-id": _wrong_id,
    "foreign-controller": _foreign_controller,
    "foreign-key": _foreign_key,
    "two-keys": _two_keys,
    "two-keys-first": _two_keys_first,
    "no-key": _no_key,
    "bad-key": _bad_key,
    "no-pds": _no_pds,
    "private-pds": _private_pds,
    "pds-with-path": _pds_with_path,
    "other-handle": _other_handle,
    "no-handle": _no_handle,
}
"""What may be false in a document, by name. In `two-keys` the account's own is the first, in `two-keys-first` the other's."""
