"""Who published a file of another index, by its provenance."""

import hashlib
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gateway.publish.attestations.publisher import ProvenanceReader
from gateway.publish.attestations.verifier import Verifier
from tests.support.sigstore import GITLAB, PUBLISH, REF, SHA, SLSA, Sigstore, job, provenance, sigstore, statement

FILE, HASH = "acme_web-1.0-py3-none-any.whl", hashlib.sha256(b"acme-web").hexdigest()
_REAL = Path(__file__).parent / "real"
_GITHUB = {"kind": "GitHub", "repository": "acme/web", "workflow": "release.yml", "environment": None, "claims": None}
_WORDS = "github:acme/web github:acme/web@release.yml"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> ProvenanceReader:
    root = tmp_path_factory.mktemp("root") / "root.json"
    root.write_bytes(sigstore().root)
    return ProvenanceReader(Verifier(root))


def attested(claims: dict[str, str] | None = None, payload: bytes | None = None, by: Sigstore | None = None) -> Any:
    return (by or sigstore()).attestation(claims or job(), payload or statement(FILE, HASH))


def of_gitlab(host: str, path: str = "ci/build.yml") -> dict[str, str]:
    url = f"{host}/Acme/libs/web"
    return job(issuer=host, repository=url, workflow=f"{url}//{path}@{REF}")


@pytest.mark.parametrize(
    ("publisher", "claims", "words"),
    [
        (_GITHUB, job(), _WORDS),
        (_GITHUB | {"environment": "release"}, job(), _WORDS),
        (
            {"kind": "GitLab", "repository": "Acme/libs/web", "workflow_filepath": "ci/build.yml"},
            of_gitlab(GITLAB),
            "gitlab:acme/libs/web gitlab:acme/libs/web@ci/build.yml",
        ),
        (
            {
                "kind": "GitLabSelfManaged",
                "issuer": "https://git.acme.example",
                "repository": "Acme/libs/web",
                "workflow_filepath": "ci/a job.yml",
            },
            of_gitlab("https://git.acme.example", "ci/a job.yml"),
            "gitlab@git.acme.example:acme/libs/web gitlab@git.acme.example:acme/libs/web@ci/a%20job.yml",
        ),
        (
            _GITHUB | {"kind": "GitHubSelfManaged", "issuer": "https://token.actions.acme.ghe.com"},
            job(
                issuer="https://token.actions.acme.ghe.com",
                repository="https://acme.ghe.com/acme/web",
                workflow=f"https://acme.ghe.com/acme/web/.github/workflows/release.yml@{SHA}",
            ),
            "github@token.actions.acme.ghe.com:acme/web github@token.actions.acme.ghe.com:acme/web@release.yml",
        ),
        (
            {"kind": "Google", "email": "web@acme.iam.gserviceaccount.com"},
            {"issuer": "https://accounts.google.com", "email": "web@acme.iam.gserviceaccount.com"},
            "google:web@acme.iam.gserviceaccount.com",
        ),
        (
            {"kind": "CircleCI", "project_id": "12-ab", "pipeline_definition_id": "34-cd"},
            {
                "issuer": "https://oidc.circleci.com",
                "signer": "https://circleci.com/api/v2/projects/12-ab/pipeline-definitions/34-cd",
            },
            "circleci:12-ab circleci:12-ab@34-cd",
        ),
    ],
)
def test_the_publisher_is_that_of_the_certificate(
    reader: ProvenanceReader, publisher: dict[str, Any], claims: dict[str, str], words: str
) -> None:
    assert reader.words(provenance(publisher, attested(claims)), FILE, HASH) == words
    for name in claims.keys() - {"ref", "digest"}:
        other = {**claims, name: f"{claims[name]}x"}
        assert reader.words(provenance(publisher, attested(other)), FILE, HASH) == "invalid", name


def test_what_pypi_has_is_verified_with_the_keys_that_come_along(reader: ProvenanceReader) -> None:
    name = "pypi_attestations-0.0.19.tar.gz"
    sha256 = "9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3"
    publisher = {"kind": "GitHub", "repository": "trailofbits/pypi-attestations", "workflow": "release.yml"}
    kinds = ("publish", "slsa")
    document = provenance(
        publisher, *(json.loads((_REAL / f"{name}.{kind}.attestation").read_text()) for kind in kinds)
    )
    public = ProvenanceReader(Verifier(None))
    repository = "github:trailofbits/pypi-attestations"
    assert public.words(document, name, sha256) == f"{repository} {repository}@release.yml"
    assert reader.words(document, name, sha256) == "invalid"
    assert public.root != reader.root


def bundles(*found: object) -> bytes:
    return json.dumps({"version": 1, "attestation_bundles": found}).encode()


def bundle(publisher: object, *attestations: object) -> dict[str, object]:
    return {"publisher": publisher, "attestations": attestations}


def test_several_attestations_of_one_publisher(reader: ProvenanceReader) -> None:
    one, other = attested(), attested(payload=statement(FILE, HASH, SLSA))
    assert reader.words(provenance(_GITHUB, one, other), FILE, HASH) == _WORDS
    assert reader.words(bundles(bundle(_GITHUB, one), bundle(_GITHUB, other)), FILE, HASH) == _WORDS
    assert reader.words(provenance(_GITHUB, *[one] * 10), FILE, HASH) == _WORDS
    google = {"kind": "Google", "email": "web@acme.example"}
    assert reader.words(bundles(bundle(_GITHUB, one), bundle(google)), FILE, HASH) == _WORDS


_FOREIGN = Sigstore()


@pytest.mark.parametrize(
    "document",
    [
        provenance(_GITHUB, attested(payload=statement(FILE, HASH[::-1]))),
        provenance(_GITHUB, attested(payload=statement("acme_web-1.1-py3-none-any.whl", HASH))),
        provenance(_GITHUB, attested(payload=statement(FILE, HASH, "https://acme.example/kind"))),
        provenance(_GITHUB, attested(by=_FOREIGN)),
        provenance(_GITHUB, attested(), attested(by=_FOREIGN)),
        provenance(_GITHUB, attested(), attested(payload=statement(FILE, HASH[::-1], SLSA))),
        provenance(_GITHUB, *[attested()] * 11),
        provenance(_GITHUB),
        provenance(_GITHUB | {"repository": "acme/web github:evil/web"}, attested()),
        provenance(_GITHUB | {"repository": "acme/web "}, attested()),
        provenance(_GITHUB | {"repository": None}, attested()),
        provenance(_GITHUB | {"kind": "gitHub"}, attested()),
        provenance(_GITHUB | {"kind": None}, attested()),
        provenance(_GITHUB | {"kind": "SelfManaged", "issuer": "https://acme.example"}, attested()),
        provenance(_GITHUB | {"kind": "GitHubSelfManaged"}, attested()),
        provenance(_GITHUB | {"kind": "GitHubSelfManaged", "issuer": "https://["}, attested()),
        provenance({}, attested()),
        provenance([], attested()),  # type: ignore[arg-type]
        bundles(),
        bundles(bundle(_GITHUB)),
        bundles(bundle(_GITHUB, None)),
        bundles(bundle(_GITHUB, attested()), bundle({"kind": "Unknown"})),
        bundles(
            bundle(_GITHUB, attested()),
            bundle(
                {"kind": "GitLab", "repository": "Acme/libs/web", "workflow_filepath": "ci/build.yml"},
                attested(of_gitlab(GITLAB), statement(FILE, HASH, PUBLISH)),
            ),
        ),
        b"",
        b"null",
        b"{}",
        b'{"attestation_bundles": 1}',
        b'{"attestation_bundles": [1]}',
        b"[" * 1_000_000,
        b'{"attestation_bundles":' * 40_000,
        b'{"attestation_bundles": [%s]}' % b",".join([b"0"] * 1002),
        b"\xff" * 100,
    ],
    ids=count(),
)
def test_what_is_not_right_is_invalid(reader: ProvenanceReader, document: bytes) -> None:
    assert reader.words(document, FILE, HASH) == "invalid"


def test_no_name_becomes_two_words(reader: ProvenanceReader) -> None:
    url = "https://github.com/evil/web github:acme/web"
    claims = job(repository=url, workflow=f"{url}/.github/workflows/release.yml@{REF}")
    document = provenance(_GITHUB | {"repository": "evil/web github:acme/web"}, attested(claims))
    assert reader.words(document, FILE, HASH) == "invalid"


def test_a_document_that_is_cut_or_changed_is_invalid(reader: ProvenanceReader) -> None:
    document = provenance(_GITHUB, attested())
    for at in range(0, len(document) - 1, 97):
        assert reader.words(document[:at], FILE, HASH) == "invalid"
