"""A certificate authority of our own, and a server's and a client's certificate from it, for tests of TLS on this machine."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=30)


class Certificates(NamedTuple):
    """PEM files: the authority to trust, the server's certificate with its key, and the client's."""

    authority: Path
    server: Path
    key: Path
    client: Path
    client_key: Path

    def context(self) -> ssl.SSLContext:
        """What RelayServer's `tls` takes."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.server, self.key)
        return context


def make_certificates(folder: Path, client: str = "client", host: str = "localhost") -> Certificates:
    """Write an authority, a certificate for `host` and 127.0.0.1, and one of a client of this name, into a folder."""
    authority_key, server_key, client_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority_name = _name("Relay simulator authority")
    authority = (
        _builder(authority_name, authority_name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(IPv4Address("127.0.0.1"))])
    server = _leaf(_name(host), ExtendedKeyUsageOID.SERVER_AUTH, server_key, authority_name, authority_key)
    server = server.add_extension(names, critical=False)
    of_client = _leaf(_name(client), ExtendedKeyUsageOID.CLIENT_AUTH, client_key, authority_name, authority_key)
    made = Certificates(*(folder / name for name in ("authority.pem", "server.pem", "server.key", "client.pem", "client.key")))
    made.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    made.server.write_bytes(server.sign(authority_key, SHA256()).public_bytes(Encoding.PEM))
    made.client.write_bytes(of_client.sign(authority_key, SHA256()).public_bytes(Encoding.PEM))
    for path, key in ((made.key, server_key), (made.client_key, client_key)):
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


def _leaf(
    subject: x509.Name,
    purpose: x509.ObjectIdentifier,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Name,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    """A certificate that signs no others, not yet signed itself."""
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(subject, authority, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(issuer, critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
