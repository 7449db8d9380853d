"""Attestations that are right, and those that are not."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pypi_attestations import Attestation, Provenance

from gateway.errors import BadRequestError, UpstreamError
from gateway.publish.attestations.field import MAX_FIELD_BYTES
from gateway.publish.attestations.identity import Identity, identity_of
from gateway.publish.attestations.verifier import Verifier
from tests.support.sigstore import GITLAB, PUBLISH, REF, SHA, SLSA, Sigstore, job, sigstore, statement

FILE, HASH = "acme_web-1.0-py3-none-any.whl", hashlib.sha256(b"acme-web").hexdigest()
OURS = identity_of('{"kind":"GitHub","repository":"acme/web","workflow":"release.yml","environment":"release"}')
_REAL = Path(__file__).parent / "real"
_URL = "https://github.com/acme/web/.github/workflows/release.yml"


def made(
    claims: dict[str, str] | None = None, payload: bytes | None = None, *, late: float = 0, by: Sigstore | None = None
) -> dict[str, Any]:
    payload = statement(FILE, HASH) if payload is None else payload
    return (by or sigstore()).attestation(job() if claims is None else claims, payload, late=late)


def refusal(verifier: Verifier, field: str, identity: Identity = OURS, filename: str = FILE) -> str:
    """Empty if there is none."""
    try:
        verifier.provenance(field, identity, filename, HASH)
    except BadRequestError as error:
        told = error.public
    else:
        return ""
    assert told.startswith("Invalid upload: ")
    assert len(told) < 400
    assert told.isprintable()
    return told


def test_what_github_and_gitlab_have_signed_is_verified_with_the_keys_that_come_along(root: Path) -> None:
    verifier, ours = Verifier(None), Verifier(root)
    of_github = '{"kind":"GitHub","repository":"trailofbits/pypi-attestations","workflow":"release.yml"}'
    of_gitlab = '{"kind":"GitLab","repository":"facutuesca/gitlab-oidc-project","workflow":".gitlab-ci.yml"}'
    for source, filename, sha256, kinds in (
        (
            of_github,
            "pypi_attestations-0.0.19.tar.gz",
            "9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3",
            ("publish", "slsa"),
        ),
        (
            of_gitlab,
            "gitlab_oidc_project-0.0.3.tar.gz",
            "c1ca9b0d85df1606451098233018534497bf584362e10e4a8c21dfaea92c02a8",
            ("publish",),
        ),
    ):
        texts = [(_REAL / f"{filename}.{kind}.attestation").read_text() for kind in kinds]
        field, identity = f"[{','.join(texts)}]", identity_of(source)
        found = Provenance.model_validate_json(verifier.provenance(field, identity, filename, sha256))
        (bundle,) = found.attestation_bundles
        assert bundle.attestations == [Attestation.model_validate_json(text) for text in texts]
        assert bundle.publisher.model_dump() == identity.publisher
        assert "does not match (got https://" in refusal(verifier, field)
        with pytest.raises(BadRequestError, match="other bytes"):
            verifier.provenance(field, identity, filename, HASH)
        assert "is not valid" in refusal(ours, field, identity, filename)


@pytest.mark.parametrize("kinds", [(PUBLISH,), (SLSA,), (SLSA, PUBLISH)])
def test_a_provenance_is_what_pypi_makes_of_it(verifier: Verifier, kinds: tuple[str, ...]) -> None:
    sent = [made(payload=statement(FILE, HASH, kind)) for kind in kinds]
    found = json.loads(verifier.provenance(json.dumps(sent), OURS, FILE, HASH))
    assert found["version"] == 1
    (bundle,) = found["attestation_bundles"]
    named = {"kind": "GitHub", "repository": "acme/web", "workflow": "release.yml", "environment": "release"}
    assert bundle["publisher"] == named
    assert [Attestation.model_validate(item) for item in bundle["attestations"]] == [
        Attestation.model_validate(item) for item in sent
    ]


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        (job(workflow=f"{_URL}@{SHA}"), ""),
        (job(ref=None, workflow=f"{_URL}@{SHA}"), ""),
        (job(digest=None), ""),
        (job(repository="https://github.com/acme/other"), "does not match"),
        (job(repository="https://github.com/ACME/web"), "does not match"),
        (job(repository=None), "does not contain"),
        (job(issuer=GITLAB), "does not match"),
        (job(issuer=None), "does not contain"),
        (job(workflow=f"https://github.com/acme/web/.github/workflows/test.yml@{REF}"), "test.yml@refs/tags/v1.0, not"),
        (job(workflow=f"https://github.com/acme/other/.github/workflows/release.yml@{REF}"), "acme/other"),
        (job(workflow=f"{_URL}@refs/heads/other"), "refs/heads/other, not of"),
        (job(workflow=_URL), "not of"),
        (job(workflow=f"{_URL}@"), "not of"),
        (job(workflow=f"{_URL}@", ref=""), "not of"),
        (job(workflow=None), "one of no workflow"),
        (job(ref=None, digest=None), "not of"),
        (job(ref="refs/pull/1/merge", workflow=f"{_URL}@refs/pull/1/merge"), "pull request"),
        ({}, "does not contain"),
    ],
)
def test_the_certificate_is_that_of_the_publisher(verifier: Verifier, claims: dict[str, str], why: str) -> None:
    """As pypi-attestations has it, but for pull requests, and refs without a name."""
    attestation = made(claims)
    found = refusal(verifier, json.dumps([attestation]))
    assert why in found
    assert bool(found) is bool(why)
    (bundle,) = Provenance.model_validate(
        {"attestation_bundles": [{"publisher": OURS.publisher, "attestations": [attestation]}]}
    ).attestation_bundles
    certificate = bundle.attestations[0].to_bundle().signing_certificate
    try:
        bundle.publisher._as_policy().verify(certificate)
    except Exception:  # whatever the library raises: it demands extensions that it does not look for
        theirs = False
    else:
        theirs = True
    assert theirs is (not why or claims.get("ref") in ("", "refs/pull/1/merge"))


_SUBJECT = {"name": FILE, "digest": {"sha256": HASH}}
# It means the same as FILE. One that is as long as the field may be stands for 10¹³ tags, which are made one by one.
_MANY_TAGS = f"acme_web-1.0-{'.'.join(['py3'] * 60)}-none-any.whl"


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (statement("ACME.web-1.0-py3-none-any.whl", HASH), ""),
        (statement(FILE, HASH, predicate={"buildDefinition": {}}), ""),
        (statement("acme_web-1.1-py3-none-any.whl", HASH), "about acme_web-1.1-py3-none-any.whl, not about"),
        (statement("acme_web-1.0.tar.gz", HASH), "not about"),
        (statement("acme_web", HASH), "is not valid"),
        (statement(_MANY_TAGS, HASH), "about acme_web-1.0-py3.py3.py3"),
        (statement(FILE, HASH[:-1]), "other bytes"),
        (statement(FILE, HASH.upper()), "other bytes"),
        (statement(FILE, HASH, "https://example.com/kind/v1"), "are not taken"),
        (statement(FILE, HASH, subject=[]), "more than one file, or none"),
        (statement(FILE, HASH, subject=[_SUBJECT, _SUBJECT]), "more than one file"),
        (statement(FILE, HASH, subject=[{"name": None, "digest": {"sha256": HASH}}]), "about None"),
        (statement(FILE, HASH, subject=[{"name": FILE, "digest": {"sha512": HASH}}]), "malformed"),
        (statement(FILE, HASH, subject=7), "malformed"),
        (statement(FILE, HASH, _type="https://in-toto.io/Statement/v0.1"), "version 1"),
        (statement(FILE, HASH)[:-1] + b',"subject":[]}', "not JSON"),
        (b"[" * 30_000, "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_the_statement_is_about_this_file(verifier: Verifier, payload: bytes, why: str) -> None:
    found = refusal(verifier, json.dumps([made(payload=payload)]))
    assert why in found
    assert bool(found) is bool(why)


def _signature(changed: dict[str, Any]) -> None:
    changed["envelope"]["signature"] = made()["envelope"]["signature"]


def _payload(changed: dict[str, Any]) -> None:
    changed["envelope"]["statement"] = base64.b64encode(statement(FILE, HASH, predicate=1)).decode()


def _certificate(changed: dict[str, Any]) -> None:
    changed["verification_material"]["certificate"] = made()["verification_material"]["certificate"]


def _no_certificate(changed: dict[str, Any]) -> None:
    changed["verification_material"]["certificate"] = "AAAA"


def _promise(changed: dict[str, Any]) -> None:
    _entry(changed)["integratedTime"] = str(int(_entry(changed)["integratedTime"]) + 1)


def _no_promise(changed: dict[str, Any]) -> None:
    del _entry(changed)["inclusionPromise"]


def _proof(changed: dict[str, Any]) -> None:
    _entry(changed)["inclusionProof"]["hashes"] = []


def _checkpoint(changed: dict[str, Any]) -> None:
    _entry(changed)["inclusionProof"]["checkpoint"]["envelope"] = "x"


def _two_entries(changed: dict[str, Any]) -> None:
    changed["verification_material"]["transparency_entries"].append({"anything": "goes"})


def _version(changed: dict[str, Any]) -> None:
    changed["version"] = 2


def _huge_index(changed: dict[str, Any]) -> None:
    _entry(changed)["inclusionProof"] |= {"logIndex": "9" * 4000, "treeSize": "9" * 4000}


def _entry(changed: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = changed["verification_material"]["transparency_entries"][0]
    return found


@pytest.mark.parametrize(
    "change",
    [
        _signature,
        _payload,
        _certificate,
        _no_certificate,
        _promise,
        _no_promise,
        _proof,
        _checkpoint,
        _two_entries,
        _version,
        _huge_index,
    ],
)
def test_each_part_is_verified(verifier: Verifier, change: Callable[[dict[str, Any]], None]) -> None:
    attestation = made()
    assert refusal(verifier, json.dumps([attestation])) == ""
    change(attestation)
    assert refusal(verifier, json.dumps([attestation]))


def test_a_certificate_has_to_be_valid_at_the_time_and_of_an_authority_that_is_trusted(verifier: Verifier) -> None:
    assert "not valid at validation time" in refusal(verifier, json.dumps([made(late=3600)]))
    assert "is not valid" in refusal(verifier, json.dumps([made(by=Sigstore())]))


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("[ ]", "not 0"),
        (json.dumps([made(), made()]), "two attestations of one kind"),
        (json.dumps([{}] * 3), "not 3"),
        (json.dumps(made()), "not a list"),
        ('[{"version": 1, "version": 1}]', "not JSON"),
        ("[NaN]", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[7]", "is not valid"),
        (json.dumps(["\ud800"]), "is not valid"),
        ('{"a":' * 500 + "1" + "}" * 500, "not a list"),
        ("[" + '{"version":' * 900 + "1" + "}" * 900 + "]", "is not valid"),
        (f'[{{"version": {"9" * 200_000}}}]', "not JSON"),
        (json.dumps([{"version": 1, "x": "y" * (MAX_FIELD_BYTES - 100)}]), "is not valid"),
    ],
)
def test_the_field_is_read_strictly(verifier: Verifier, field: str, why: str) -> None:
    assert why in refusal(verifier, field)


def test_the_libraries_get_few_values(verifier: Verifier) -> None:
    """They keep an error of each that is of a wrong type: two hundred megabytes of a quarter of one."""
    sent = made()
    sent["verification_material"]["transparency_entries"] = [1] * 100_000
    assert "over 1000 values" in refusal(verifier, json.dumps([sent]))
    assert refusal(verifier, json.dumps([made() | {"note": [1] * 900}])) == ""


def test_what_nobody_knows_is_not_kept(verifier: Verifier) -> None:
    sent = made() | {"note": "anything"}
    assert b"anything" not in verifier.provenance(json.dumps([sent]), OURS, FILE, HASH)


def test_a_root_without_the_keys_of_a_log_is_no_fault_of_the_client(root: Path) -> None:
    root.write_text(json.dumps(json.loads(sigstore().root) | {"ctlogs": []}))
    with pytest.raises(UpstreamError, match="CTFE keys not found"):
        Verifier(root).provenance(json.dumps([made()]), OURS, FILE, HASH)


def test_a_library_that_panics_is_one_that_refuses(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicError(BaseException):
        """As pyo3 raises it."""

    def panic(*_: object) -> None:
        raise PanicError("at line 7")

    monkeypatch.setattr(verifier, "_verifier", SimpleNamespace(verify_dsse=panic))
    assert refusal(verifier, json.dumps([made()])) == "Invalid upload: an attestation is not valid: it is malformed"
