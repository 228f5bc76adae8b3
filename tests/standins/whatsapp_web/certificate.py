"""The certificate of the stand-in, and what makes a Chromium take it for web.whatsapp.com."""

import base64
import hashlib
import ssl
from functools import cache

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@cache
def _leaf() -> trustme.LeafCert:
    return trustme.CA().issue_cert("web.whatsapp.com")


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _leaf().configure_cert(context)
    return context


def chromium_args(host: str, port: int) -> list[str]:
    """The name leads here, and this one key is trusted; all else is as in production."""
    key = x509.load_pem_x509_certificate(_leaf().cert_chain_pems[0].bytes()).public_key()
    spki = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return [
        f"--host-resolver-rules=MAP web.whatsapp.com {host}:{port}, MAP * ~NOTFOUND",
        f"--ignore-certificate-errors-spki-list={base64.b64encode(spki).decode()}",
    ]
