"""A DID document -> the identity that it states: signing key, PDS and handle. Pure.

Source: https://atproto.com/specs/did (which entries count) and https://atproto.com/specs/handle (alsoKnownAs).
An entry that is not as it should be is as good as absent: documents are made by anyone, and often hold entries of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from atproto_core.did_doc import Service

from unified_indexer.errors import Rejected
from unified_indexer.protocol.keys import SigningKey, signing_key
from unified_indexer.protocol.syntax import is_handle

MAX_DOCUMENT_BYTES = 16_384
MAX_PDS_CHARACTERS = 300  # of an origin: a host name has 253

_HANDLE_SCHEME = "at://"


@dataclass(frozen=True, slots=True)
class Identity:
    """What an account's DID document states. The handle is a claim: only the name itself can confirm it (handles.py)."""

    did: str
    key: SigningKey | None
    pds: str | None  # an origin: https://host, or http://host:port where private hosts are allowed
    handle: str | None  # in lower case


def read_document(did: str, document: object, *, allow_private: bool = False) -> Identity:
    """The identity of `did` from its document. `allow_private`: whether a PDS may be served without TLS, on any port.

    Raises Rejected: `bad_did_document`, if it is no document of this DID. A document without a key is one.
    """
    fields: Mapping[str, Any] = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    if fields.get("id") != did:
        raise Rejected("bad_did_document", "the document is another DID's, or none")
    try:
        key = signing_key(did, fields)
    except Rejected:
        key = None
    return Identity(did, key, _pds(did, fields.get("service"), allow_private), read_handle(fields.get("alsoKnownAs")))


def read_pds(url: object, *, allow_private: bool = False) -> str | None:
    """The origin of a PDS, in lower case; None unless it is an https URL of a host alone, on the usual port.

    `allow_private`: http and any port are taken too.
    """
    if not isinstance(url, str) or len(url) > MAX_PDS_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    schemes = ("https", "http") if allow_private else ("https",)
    if parts.scheme not in schemes or not host or "@" in parts.netloc or parts.netloc.endswith(":"):
        return None
    if parts.path not in ("", "/") or parts.query or parts.fragment or "\\" in url:
        return None
    place = f"[{host}]" if ":" in host else host
    if port in (None, 443 if parts.scheme == "https" else 80):
        return f"{parts.scheme}://{place}"
    return f"{parts.scheme}://{place}:{port}" if allow_private else None


def read_handle(names: object) -> str | None:
    """The handle that `alsoKnownAs` claims, in lower case: its first at-URI; None if that is none."""
    for name in cast("list[object]", names) if isinstance(names, list) else []:
        if isinstance(name, str) and name.startswith(_HANDLE_SCHEME):
            handle = name.removeprefix(_HANDLE_SCHEME)
            return handle.lower() if is_handle(handle) else None
    return None


def _pds(did: str, services: object, allow_private: bool) -> str | None:
    for entry in cast("list[object]", services) if isinstance(services, list) else []:
        fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
        if fields.get("id") in ("#atproto_pds", f"{did}#atproto_pds"):
            try:
                service = Service.model_validate(fields)
            except ValueError:
                return None
            is_pds = service.type == "AtprotoPersonalDataServer"
            return read_pds(service.service_endpoint, allow_private=allow_private) if is_pds else None
    return None
