"""Who published a file of another index, by its provenance (PEP 740), as words for the policy.

https://docs.pypi.org/api/integrity/
"""

import json
import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sigstore.verify import policy

from gateway.access.oidc.strict_json import parse_object
from gateway.config.publish.trusted_publishers import GITHUB, GITLAB
from gateway.errors import BadRequestError
from gateway.policy.provenance import INVALID
from gateway.publish.attestations.identity import Identity, identity_of
from gateway.publish.attestations.verifier import Verifier
from gateway.publish.trusted.sources import service

_SELF_MANAGED = "SelfManaged"
_GOOGLE, _CIRCLECI = "https://accounts.google.com", "https://oidc.circleci.com"
_PIPELINE = "https://circleci.com/api/v2/projects/{}/pipeline-definitions/{}"
_WORD = re.compile(r"[!-~]{1,400}")  # nothing that would be another word
# PyPI has one bundle for each file, of one or two attestations: some sixty values.
_MOST_ATTESTATIONS = 10
_MOST_VALUES = 1000
_MOST_REASON = 300

log = logging.getLogger("gateway.policy")


class ProvenanceReader:
    """`root` is another one if the keys are others that attestations are verified with."""

    def __init__(self, verifier: Verifier) -> None:
        self.root = verifier.root
        self._verifier = verifier

    def words(self, document: bytes, filename: str, sha256: str) -> str:
        """The publisher of the file with these bytes, such as `github:acme/web`, and with its workflow, as
        `github:acme/web@release.yml`; or `invalid`, unless all attestations are right, and one publisher's. May take
        tens of milliseconds for each."""
        try:
            return self._words(document, filename, sha256)
        except MemoryError:
            raise
        except BaseException as error:  # also panics of libraries in Rust; nobody interrupts this thread
            why = " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_REASON]
            log.warning("the provenance of %s is not valid: %r", filename, why)
            return INVALID

    def _words(self, document: bytes, filename: str, sha256: str) -> str:
        if document.count(b",") > _MOST_VALUES:
            raise ValueError(f"over {_MOST_VALUES} values")
        found, attested = set[str](), 0
        for bundle in parse_object(document)["attestation_bundles"]:
            publisher, words = _publisher(bundle["publisher"])
            for item in bundle["attestations"]:
                if (attested := attested + 1) > _MOST_ATTESTATIONS:
                    raise ValueError(f"over {_MOST_ATTESTATIONS} attestations")
                self._verifier.statement(item, publisher, filename, sha256)
                found.add(words)
        if len(found) != 1:
            raise ValueError("attestations of several publishers" if found else "no attestations")
        return found.pop()


def _publisher(said: Mapping[str, Any]) -> tuple[Identity | policy.VerificationPolicy, str]:
    """What certificates of this publisher say, and the words for it. Raises any error if it is none."""
    kind = said["kind"]
    if kind == "Google":
        email = policy.Identity(identity=said["email"])
        return policy.AllOf([policy.OIDCIssuerV2(_GOOGLE), email]), _word(f"google:{said['email']}")
    if kind == "CircleCI":
        project, pipeline = said["project_id"], said["pipeline_definition_id"]
        signer = policy.OIDCBuildSignerURI(_PIPELINE.format(project, pipeline))
        word = _word(f"circleci:{project}")
        return policy.AllOf([policy.OIDCIssuerV2(_CIRCLECI), signer]), f"{word} {_word(f'{word}@{pipeline}')}"
    public = kind.removesuffix(_SELF_MANAGED)
    workflow = said["workflow"] if public == "GitHub" else said["workflow_filepath"]
    source = {"kind": public, "repository": said["repository"], "workflow": workflow}
    if kind != public:
        source["issuer"] = said["issuer"]
    identity = identity_of(json.dumps(source))
    where = service(public.lower(), identity.issuer, GITHUB if public == "GitHub" else GITLAB)
    word = _word(f"{where}:{said['repository']}")
    return identity, f"{word} {_word(f'{word}@{quote(workflow)}')}"


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise BadRequestError("the publisher has a name with odd letters, or a long one")
    return text.lower()  # the services tell no names apart by that
