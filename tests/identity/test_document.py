"""A DID document -> the identity that it states."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_simulator import keys
from testing.frames import DATA, DID, needs_recorded
from unified_indexer.errors import Rejected
from unified_indexer.identity.document import Identity, read_document, read_pds
from unified_indexer.protocol.keys import key_bytes, parse_multikey, read_key

K256, P256 = keys.signer(1, 0), keys.signer(1, 15)
SOUND = keys.did_document(DID, "Alice.Example.com", K256)


def method(**fields: Any) -> dict[str, Any]:
    return {"id": "#atproto", "type": "Multikey", "controller": DID, "publicKeyMultibase": K256.multibase} | fields


def service(**fields: Any) -> dict[str, Any]:
    return {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.example.com"} | fields


def of(**fields: Any) -> Identity:
    return read_document(DID, SOUND | fields)


def multibase(identity: Identity) -> str | None:
    return None if identity.key is None else "z" + keys.base58(key_bytes(identity.key))


def test_a_document_states_key_pds_and_handle() -> None:
    identity = read_document(DID, SOUND)
    assert multibase(identity) == K256.multibase
    assert (identity.did, identity.pds, identity.handle) == (DID, "https://pds.simulator.test", "alice.example.com")


@pytest.mark.parametrize("document", [None, [], "x", {}, *(SOUND | {"id": name} for name in (None, DID + "x", [DID]))])
def test_a_document_of_another_did_is_none(document: object) -> None:
    with pytest.raises(Rejected, match="bad_did_document"):
        read_document(DID, document)


@pytest.mark.parametrize(
    "methods",
    [
        None,
        {},
        [],
        ["#atproto", 7, None],
        [method(controller="did:plc:other")],
        [method(controller="did:plc:other"), method()],  # the first named #atproto is the one
        [method(id="#other")],
        [method(id="did:plc:other#atproto")],
        [method(type="Ed25519VerificationKey2020")],
        [method(publicKeyMultibase=None)],
        [method(publicKeyMultibase=K256.multibase[:-1])],
    ],
)
def test_a_key_counts_only_as_the_rules_say(methods: object) -> None:
    identity = of(verificationMethod=methods)
    assert identity.key is None
    assert identity.pds == "https://pds.simulator.test"


def test_the_first_method_of_the_name_counts() -> None:
    identity = of(verificationMethod=[method(id="#other"), method(publicKeyMultibase=P256.multibase), method()])
    assert multibase(identity) == P256.multibase


@pytest.mark.parametrize(
    ("services", "pds"),
    [
        ([service()], "https://pds.example.com"),
        ([service(id=f"{DID}#atproto_pds")], "https://pds.example.com"),
        ([service(id="#other"), service()], "https://pds.example.com"),
        ([service(type="Other"), service()], None),
        ([service(type=None)], None),
        ([service(serviceEndpoint={"uri": "https://pds.example.com"})], None),
        ([service(serviceEndpoint="javascript:x"), service()], None),
        ([], None),
        (None, None),
        ("x", None),
        ([7, service()], "https://pds.example.com"),
    ],
)
def test_the_first_service_of_the_name_is_the_pds(services: object, pds: str | None) -> None:
    assert of(service=services).pds == pds


@pytest.mark.parametrize(
    ("url", "origin", "private"),
    [
        ("https://PDS.example.com", "https://pds.example.com", "https://pds.example.com"),
        ("https://pds.example.com/", "https://pds.example.com", "https://pds.example.com"),
        ("https://pds.example.com:443", "https://pds.example.com", "https://pds.example.com"),
        ("https://pds.example.com:8443", None, "https://pds.example.com:8443"),
        ("http://pds.example.com", None, "http://pds.example.com"),
        ("http://[::1]:2583", None, "http://[::1]:2583"),
        ("https://pds.example.com/path", None, None),
        ("https://pds.example.com?q", None, None),
        ("https://pds.example.com#f", None, None),
        ("https://user@pds.example.com", None, None),
        ("https://:pw@pds.example.com", None, None),
        ("https://pds.example.com:", None, None),
        ("https://pds.example.com:x", None, None),
        ("https://pds.example.com:99999", None, None),
        ("https://pds.exa mple.com", None, None),
        ("https://pds.example.com\\@evil.example", None, None),
        ("https://pds.example.com\n", None, None),
        ("https://[::1", None, None),
        ("https://", None, None),
        ("ftp://pds.example.com", None, None),
        ("https://" + "a" * 300, None, None),
        (7, None, None),
    ],
)
def test_a_pds_is_an_origin(url: object, origin: str | None, private: str | None) -> None:
    assert read_pds(url) == origin
    assert read_pds(url, allow_private=True) == private


@pytest.mark.parametrize(
    ("names", "handle"),
    [
        (["at://bob.test"], "bob.test"),
        (["https://x.example", 7, "at://bob.test", "at://eve.test"], "bob.test"),
        (["at://no handle", "at://bob.test"], None),
        (["at://"], None),
        ([], None),
        (None, None),
        ("at://bob.test", None),
    ],
)
def test_the_first_at_uri_is_the_handle(names: object, handle: str | None) -> None:
    assert of(alsoKnownAs=names).handle == handle


@pytest.mark.parametrize("signer", [K256, P256])
def test_the_bytes_of_a_key_are_the_key(signer: keys.Signer) -> None:
    data = key_bytes(parse_multikey(signer.multibase))
    assert len(data) == 35
    assert read_key(data).verifies(b"message", signer.sign(b"message"))
    for wrong in (b"", data[:-1], data + b"\0", b"\0" + data[1:]):
        with pytest.raises(Rejected, match="no_signing_key"):
            read_key(wrong)


@needs_recorded
def test_the_documents_of_the_real_accounts_state_all_three() -> None:
    documents = json.loads((DATA / "real_frames/did_docs.json").read_text())
    assert len(documents) >= 50
    for did, document in documents.items():
        identity = read_document(did, document)
        assert identity.key is not None
        assert identity.pds is not None
        assert identity.handle is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from([DID, "#atproto", "at://a.test"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*method(), *service()]), inner, max_size=5),
    max_leaves=20,
)


@given(verificationMethod=JSON, service=JSON, alsoKnownAs=JSON)
@settings(max_examples=300, deadline=None)
def test_whatever_a_document_holds_it_is_read_or_refused(**fields: Any) -> None:
    identity = of(**fields)
    assert identity.did == DID
    assert identity.pds is None or identity.pds.startswith("https://")


@given(JSON)
@settings(max_examples=100, deadline=None)
def test_whatever_comes_is_no_document(value: object) -> None:
    with pytest.raises(Rejected, match="bad_did_document"):
        read_document("did:plc:" + "a" * 24, value)
