"""Signatures on the curve secp256k1, by the functions of libsecp256k1 that coincurve carries with it.

coincurve's own methods want a signature as ASN.1 and a key as an object of Python: that takes 3 µs more of each signature. The
functions are those of the library's public header. The module in which coincurve keeps them has no promise, so its version is
bounded (requirements.txt), and tests/protocol/test_secp256k1.py says so if they are gone.
"""

from importlib import import_module
from typing import Any

_module = import_module("coincurve._libsecp256k1")
_library, _new = _module.lib, _module.ffi.new
_KEY, _SIGNATURE = _module.ffi.typeof("secp256k1_pubkey *"), _module.ffi.typeof("secp256k1_ecdsa_signature *")
_CONTEXT: Any = import_module("coincurve.context").GLOBAL_CONTEXT.ctx

_parse_key = _library.secp256k1_ec_pubkey_parse
_parse_signature = _library.secp256k1_ecdsa_signature_parse_compact
_verify = _library.secp256k1_ecdsa_verify


def verifies(point: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether the key of this point made this signature. False for one whose s is in the upper half.

    C reads `digest` and `signature` without asking how long they are: 32 bytes and 64, which is for the caller to see to.
    """
    key, parsed = _new(_KEY), _new(_SIGNATURE)  # of each call, since the lock of Python is let go meanwhile
    return bool(
        _parse_key(_CONTEXT, key, point, len(point))
        and _parse_signature(_CONTEXT, parsed, signature)
        and _verify(_CONTEXT, parsed, digest, key)
    )
