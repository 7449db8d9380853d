"""Jobs of CI, as their issuers describe them in tokens."""

import json
import secrets
import time
from typing import Any

from tests.support.issuer import Issuer, rsa_key

AUDIENCE = "acme-packages"
KEY = "k" * 40
REPOSITORY, WORKFLOW, SHA = "acme/web", ".github/workflows/release.yml", "5d41402abc4b2a76b9719d911017c592deadbeef"


def github(**changed: Any) -> dict[str, Any]:
    """The claims of a job of GitHub Actions; those that are None in `changed` are left out."""
    said = {
        "sub": f"repo:{REPOSITORY}:environment:release",
        "repository": REPOSITORY,
        "repository_owner": "acme",
        "repository_owner_id": "1234",
        "repository_id": "77",
        "ref": "refs/tags/v1.0",
        "ref_type": "tag",
        "sha": SHA,
        "workflow_ref": f"{REPOSITORY}/{WORKFLOW}@refs/tags/v1.0",
        "job_workflow_ref": f"{REPOSITORY}/{WORKFLOW}@refs/tags/v1.0",
        "environment": "release",
        "event_name": "push",
        "run_id": "4242",
        "actor": "zoe",
        "runner_environment": "github-hosted",
    }
    return {name: value for name, value in (said | changed).items() if value is not None}


def gitlab(host: str = "gitlab.com", **changed: Any) -> dict[str, Any]:
    """The same of GitLab."""
    said = {
        "sub": "project_path:acme/tools/web:ref_type:tag:ref:v1.0",
        "project_path": "acme/tools/web",
        "namespace_id": "72",
        "ref": "v1.0",
        "ref_type": "tag",
        "ref_path": "refs/tags/v1.0",
        "ref_protected": "true",
        "sha": SHA,
        "ci_config_ref_uri": f"{host}/acme/tools/web//.gitlab-ci.yml@refs/tags/v1.0",
        "pipeline_source": "push",
        "pipeline_id": "99",
        "user_identities": [{"provider": "github", "extern_uid": "1"}],
        "groups_direct": ["acme"],
    }
    return {name: value for name, value in (said | changed).items() if value is not None}


def token(issuer: Issuer, claims: dict[str, Any], *, now: float | None = None, **changed: Any) -> str:
    """A new one, for the gateway's audience. Those that are None in `changed` are left out."""
    at = int(time.time() if now is None else now)
    said = {
        "iss": issuer.url,
        "aud": AUDIENCE,
        "iat": at - 5,
        "nbf": at - 5,
        "exp": at + 300,
        "jti": secrets.token_hex(8),
        **claims,
        **changed,
    }
    return rsa_key().token({name: value for name, value in said.items() if value is not None})


def publisher(issuer: Issuer, **more: Any) -> dict[str, Any]:
    """A publisher of kind github, as the settings have it."""
    return {
        "kind": "github",
        "issuer": issuer.url,
        "repository": REPOSITORY,
        "workflow": "release.yml",
        "projects": ["acme-*"],
        **more,
    }


def trusting(*publishers: dict[str, Any]) -> dict[str, str]:
    """The settings of a gateway that trusts these, and nobody else."""
    return {
        "publish.enabled": "true",
        "publish.trusted": json.dumps(publishers),
        "publish.audience": AUDIENCE,
        "access.tokens": json.dumps({"keys": [KEY]}),
        "access.default_read": "everyone",
    }
