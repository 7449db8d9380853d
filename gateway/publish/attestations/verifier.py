"""Verifies attestations, by the libraries of PyPI and Sigstore. Contacts nobody, and writes nothing.

https://peps.python.org/pep-0740/
https://docs.pypi.org/attestations/

`Attestation.verify` of pypi-attestations knows Sigstore's public instance only, and keeps files in the home directory
for that. What it does is done here with a root of trust that is given:

| step                                                                                        | by                  |
|---------------------------------------------------------------------------------------------|---------------------|
| the field is a list of few attestations, each of the form that PEP 740 has                  | pypi-attestations   |
| certificate, its time stamp, the entry in the log and the signature are right               | sigstore            |
| the certificate is one of the publisher's issuer, for its repository and its workflow       | sigstore, by claims |
| the statement is about exactly this file: its name, and its SHA-256                         | this module         |
| the kind of statement is one that PyPI knows, and there is one of each                      | this module         |
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from hashlib import sha256 as sha256_of
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.utils import parse_sdist_filename, parse_wheel_filename
from pypi_attestations import Attestation
from sigstore.errors import Error as SigstoreError
from sigstore.errors import MetadataError
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier as SigstoreVerifier
from sigstore.verify import policy

from gateway.access.oidc.strict_json import parse, parse_object
from gateway.errors import BadRequestError, UpstreamError
from gateway.publish.attestations.identity import Identity
from gateway.publish.rules import invalid_upload

# PyPI knows no other kinds. Those of one file have some ten kilobytes each.
_KINDS = ("https://docs.pypi.org/attestations/publish/v1", "https://slsa.dev/provenance/v1")
_STATEMENT = "https://in-toto.io/Statement/v1"
_DIGEST, _REF, _BUILD = (f"1.3.6.1.4.1.57264.1.{number}" for number in (13, 14, 18))
_PUBLIC_INSTANCE = "https://tuf-repo-cdn.sigstore.dev"
_CHANGES = ("refs/pull/", "refs/merge-requests/")  # a stranger's, maybe: see trusted/github.py
# Of which each but a first has a comma in front. Two attestations have some sixty; for each that is of a wrong type,
# the libraries keep an error of two kilobytes.
_MAX_VALUES = 1000
_MAX_REASON = 200
# As of the file itself. A wheel's tags stand for their product: of a name of 100 kB, for more than there is memory.
_MAX_NAME = 255


class Verifier:
    """Has the keys of a Sigstore instance. `root` is the SHA-256 of their file."""

    def __init__(self, root: Path | None) -> None:
        """`root` is a file with a root of trust; without one, it is the one that sigstore brings along, of the public
        instance. Raises whatever the library raises if it can't be read."""
        brought = files("sigstore") / "_store" / quote(_PUBLIC_INSTANCE, safe="") / "trusted_root.json"
        with as_file(brought) if root is None else nullcontext(root) as path:
            self.root = sha256_of(path.read_bytes()).hexdigest()
            self._verifier = SigstoreVerifier(trusted_root=TrustedRoot.from_file(str(path)))

    def provenance(self, field: str, identity: Identity, filename: str, sha256: str) -> bytes:
        """The provenance to store beside the file, made of the field `attestations` of its upload. Raises
        BadRequestError unless all of them are right, and UpstreamError if the root of trust has no keys for them:
        nothing else. May take tens of milliseconds."""
        try:
            attestations = [self._verified(item, identity, filename, sha256) for item in _items(field)]
            kinds = [kind for kind, _ in attestations]
            if len(set(kinds)) != len(kinds):
                raise invalid_upload("there are two attestations of one kind")
            bundle = {"publisher": identity.publisher, "attestations": [document for _, document in attestations]}
            document = {"version": 1, "attestation_bundles": [bundle]}
            return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        except BadRequestError:
            raise
        except MetadataError as error:
            raise UpstreamError(f"the trusted root of Sigstore: {_shown(error)}") from None
        except BaseException as error:  # also panics of libraries in Rust; nobody interrupts this thread
            why = _shown(error) if isinstance(error, ValueError | SigstoreError) else "it is malformed"
            raise BadRequestError(
                f"attestations: {type(error).__name__}: {_shown(error)}",
                public=f"Invalid upload: an attestation is not valid: {why}",
            ) from None

    def _verified(self, item: object, identity: Identity, filename: str, sha256: str) -> tuple[str, Mapping[str, Any]]:
        """The kind of statement that an attestation makes, and its document, without what nobody knows."""
        kind, attestation = self.statement(item, identity, filename, sha256)
        return kind, attestation.model_dump(mode="json")

    def statement(
        self, item: object, publisher: Identity | policy.VerificationPolicy, filename: str, sha256: str
    ) -> tuple[str, Attestation]:
        """The kind of statement that the publisher's attestation makes about the file, and the attestation. Raises any
        error, or panics, unless it is right."""
        attestation = Attestation.model_validate(item)
        if len(attestation.verification_material.transparency_entries) != 1:
            raise invalid_upload("an attestation has one entry of the log: only the first would be verified")
        demanded = _certified(publisher) if isinstance(publisher, Identity) else publisher
        kind, payload = self._verifier.verify_dsse(attestation.to_bundle(), demanded)
        if kind != "application/vnd.in-toto+json":
            raise invalid_upload("an attestation is no statement of in-toto")
        if isinstance(publisher, Identity):
            _demand_workflow(attestation.certificate_claims, publisher)  # now that they are an authority's
        return _stated(payload, filename, sha256), attestation


def _items(field: str) -> Sequence[object]:
    if field.count(",") > _MAX_VALUES:
        raise invalid_upload(f"the attestations have over {_MAX_VALUES} values")
    try:
        found = parse(field.encode())
    except ValueError as error:
        raise invalid_upload(f"the attestations are {error}") from None
    if not isinstance(found, list):
        raise invalid_upload("the attestations are not a list in JSON")
    if not 0 < len(found) <= len(_KINDS):
        raise invalid_upload(f"a file has one or two attestations, at most one of each kind, not {len(found)}")
    return found


def _certified(identity: Identity) -> policy.VerificationPolicy:
    return policy.AllOf([policy.OIDCIssuerV2(identity.issuer), policy.OIDCSourceRepositoryURI(identity.repository)])


def _demand_workflow(claims: Mapping[str, str], identity: Identity) -> None:
    """Raises BadRequestError unless the job that these are of is one of the workflow, at its own commit or ref."""
    versions = [claims[name] for name in (_DIGEST, _REF) if claims.get(name)]
    found = claims.get(_BUILD, "no workflow")
    if found not in [f"{identity.workflow}@{version}" for version in versions]:
        raise invalid_upload(f"an attestation is one of {_shown(found)}, not of {identity.workflow}")
    if claims.get(_REF, "").startswith(_CHANGES):
        raise invalid_upload("an attestation is one of a pull request, which may not publish")


def _stated(payload: bytes, filename: str, sha256: str) -> str:
    """The kind of a statement about the file. Raises BadRequestError for one about another, and other errors."""
    statement = parse_object(payload)
    if statement["_type"] != _STATEMENT:
        raise invalid_upload("an attestation is no statement of in-toto, version 1")
    if len(statement["subject"]) != 1:
        raise invalid_upload("an attestation is about more than one file, or none")
    (subject,) = statement["subject"]
    name = subject["name"]
    if not isinstance(name, str) or len(name) > _MAX_NAME or _parsed(name) != _parsed(filename):
        raise invalid_upload(f"an attestation is about {_shown(name)}, not about {filename}")
    if subject["digest"]["sha256"] != sha256:
        raise invalid_upload("an attestation is about a file with other bytes, by its SHA-256")
    kind: str = statement["predicateType"]
    if kind not in _KINDS:
        raise invalid_upload(f"attestations of the kind {_shown(kind)} are not taken: {' or '.join(_KINDS)}")
    return kind


def _parsed(filename: str) -> tuple[object, ...]:
    """Equal for names that mean the same. Raises ValueError."""
    return parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)


def _shown(what: object) -> str:
    """Lines of pydantic's errors, or whole certificates, in a line that a header can hold."""
    text = " ".join(str(what).split())
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text[:_MAX_REASON]) or type(what).__name__
