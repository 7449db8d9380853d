"""A Sigstore instance of our own: an authority, a log of its certificates, and a log of signatures. It certifies what
a test wants; what each part signs is laid out as RFC 6962, and the documents of Fulcio and Rekor, have it."""

import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PUBLISH, SLSA = "https://docs.pypi.org/attestations/publish/v1", "https://slsa.dev/provenance/v1"
GITHUB, GITLAB = "https://token.actions.githubusercontent.com", "https://gitlab.com"
SHA, REF = "5d41402abc4b2a76b9719d911017c592deadbeef", "refs/tags/v1.0"
_TYPE = "application/vnd.in-toto+json"
_OIDS = {"issuer": 8, "signer": 9, "repository": 12, "digest": 13, "ref": 14, "workflow": 18}
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_START = "2020-01-01T00:00:00Z"


def job(**changed: str | None) -> dict[str, str]:
    """What certificates say of a job of GitHub; those that are None in `changed` are left out."""
    said = {
        "issuer": GITHUB,
        "repository": "https://github.com/acme/web",
        "digest": SHA,
        "ref": REF,
        "workflow": f"https://github.com/acme/web/.github/workflows/release.yml@{REF}",
    }
    return {name: value for name, value in (said | changed).items() if value is not None}


def statement(filename: str, sha256: str, kind: str = PUBLISH, **changed: Any) -> bytes:
    subject = [{"name": filename, "digest": {"sha256": sha256}}]
    said = {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": kind, "predicate": None}
    return json.dumps(said | changed).encode()


def provenance(publisher: Mapping[str, Any], *attestations: Mapping[str, Any]) -> bytes:
    """The document that an index has of a file."""
    bundle = {"publisher": publisher, "attestations": attestations}
    return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Log:
    """A key that signs for a log."""

    key: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.public).digest()

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    def trusted(self, url: str) -> dict[str, Any]:
        key = {"rawBytes": b64(self.public), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": {"start": _START}}
        return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": key, "logId": {"keyId": b64(self.id)}}


class Sigstore:
    """`root` is what those trust who trust this instance."""

    def __init__(self) -> None:
        self._authority = ec.generate_private_key(ec.SECP256R1())
        self._certificates, self._signatures = (Log(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        self._name = name
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self._certificate = (
            x509.CertificateBuilder(name, name, self._authority.public_key(), x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._authority.public_key()), critical=False)
            .sign(self._authority, hashes.SHA256())
        )

    @property
    def root(self) -> bytes:
        raw = b64(self._certificate.public_bytes(Encoding.DER))
        authority = {
            "subject": {"organization": "acme", "commonName": "authority of a test"},
            "uri": "https://fulcio.example.com",
            "certChain": {"certificates": [{"rawBytes": raw}]},
            "validFor": {"start": _START},
        }
        document = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._signatures.trusted("https://rekor.example.com")],
            "certificateAuthorities": [authority],
            "ctlogs": [self._certificates.trusted("https://ct.example.com")],
            "timestampAuthorities": [],
        }
        return json.dumps(document).encode()

    def attestation(self, claims: Mapping[str, str], payload: bytes, *, late: float = 0.0) -> dict[str, Any]:
        """One of the job that has these claims. It is signed so many seconds after its certificate was made, which is
        valid for ten minutes."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = datetime.now(UTC) - timedelta(hours=1)
        certificate = self._certified(key, claims, made)
        signature = key.sign(b"DSSEv1 %d %b %d %b" % (len(_TYPE), _TYPE.encode(), len(payload), payload), _ECDSA)
        entry = self._entry(certificate, payload, signature, int(made.timestamp() + 60 + late))
        material = {"certificate": b64(certificate.public_bytes(Encoding.DER)), "transparency_entries": [entry]}
        envelope = {"statement": b64(payload), "signature": b64(signature)}
        return {"version": 1, "verification_material": material, "envelope": envelope}

    def _certified(
        self, key: ec.EllipticCurvePrivateKey, claims: Mapping[str, str], made: datetime
    ) -> x509.Certificate:
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.public_key())
        name: x509.GeneralName = x509.UniformResourceIdentifier(claims.get("workflow", "https://example.com"))
        if "email" in claims:
            name = x509.RFC822Name(claims["email"])
        builder = (
            x509.CertificateBuilder(self._name, x509.Name([]), key.public_key(), x509.random_serial_number())
            .not_valid_before(made)
            .not_valid_after(made + timedelta(minutes=10))
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(authority, critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        )
        for claim, value in claims.items():
            if claim not in _OIDS:
                continue
            oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{_OIDS[claim]}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, _der(0x0C, value.encode())), critical=False)
        before = builder.sign(self._authority, hashes.SHA256()).tbs_certificate_bytes
        timestamp = struct.pack("!Q", int(made.timestamp() * 1000))
        issuer = hashlib.sha256(Log(self._authority).public).digest()
        entry = b"\0\0" + timestamp + b"\0\1" + issuer + len(before).to_bytes(3, "big") + before + b"\0\0"
        signature = self._certificates.sign(entry)
        signed = b"\0" + self._certificates.id + timestamp + b"\0\0\4\3" + struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!HH", len(signed) + 2, len(signed)) + signed
        return builder.add_extension(x509.UnrecognizedExtension(_SCTS, _der(4, listed)), critical=False).sign(
            self._authority, hashes.SHA256()
        )

    def _entry(self, certificate: x509.Certificate, payload: bytes, signature: bytes, at: int) -> dict[str, Any]:
        """The second of a log of two."""
        said = {"signature": b64(signature), "verifier": b64(certificate.public_bytes(Encoding.PEM))}
        digest = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
        spec = {"envelopeHash": digest, "payloadHash": digest, "signatures": [said]}
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        first = hashlib.sha256(b"\0first").digest()
        root = hashlib.sha256(b"\1" + first + hashlib.sha256(b"\0" + body).digest()).digest()
        note = f"rekor.example.com\n2\n{b64(root)}\n"
        by = b64(self._signatures.id[:4] + self._signatures.sign(note.encode()))
        promised = {
            "body": b64(body),
            "integratedTime": at,
            "logID": self._signatures.id.hex(),
            "logIndex": 1,
        }
        proof = {
            "logIndex": "1",
            "rootHash": b64(root),
            "treeSize": "2",
            "hashes": [b64(first)],
            "checkpoint": {"envelope": f"{note}\n\u2014 rekor.example.com {by}\n"},
        }
        return {
            "logIndex": "1",
            "logId": {"keyId": b64(self._signatures.id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(at),
            "inclusionPromise": {"signedEntryTimestamp": b64(self._signatures.sign(_canonical(promised)))},
            "inclusionProof": proof,
            "canonicalizedBody": b64(body),
        }


@lru_cache
def sigstore() -> Sigstore:
    """One for all tests."""
    return Sigstore()


_ECDSA = ec.ECDSA(hashes.SHA256())


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 + len(octets)]) + octets + content
