"""Whose attestations have to be: the trusted publisher's that publishes the file. Pure.

https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.config.publish.trusted_publishers import GITHUB, GITLAB
from gateway.errors import BadRequestError
from gateway.publish.rules import invalid_upload
from gateway.publish.trusted.sources import MAX_VALUE

# GitHub's own, also for enterprises whose tokens have an issuer below it, and GitHub's with data residency.
_GITHUB_HOST = "token.actions.githubusercontent.com"
_RESIDENT = re.compile(r"token\.actions\.([a-z0-9-]+\.ghe\.com)")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a certificate has to say: `issuer`, the URL of the `repository`, and that of the `workflow` in it, which is
    followed by `@` and a version there. `publisher` is the object that tells others of it (PEP 740)."""

    issuer: str
    repository: str
    workflow: str
    publisher: Mapping[str, str | None]


def identity_of(source: str) -> Identity:
    """That of the job which publishes: `source` is what its token says (see trusted/sources.py), empty if there is
    none. Raises BadRequestError if nobody's attestations could be verified."""
    said = json.loads(source) if source else {}
    kind, repository, workflow = (str(said.get(name, "")) for name in ("kind", "repository", "workflow"))
    if not said:
        raise invalid_upload(
            "attestations are taken from trusted publishers only: publish by a job's token, or without attestations"
        )
    if kind not in ("GitHub", "GitLab"):
        raise invalid_upload("attestations are taken from publishers of kind github and gitlab only")
    issuer, environment = said.get("issuer"), said.get("environment") or None
    _demand_whole(repository, workflow, *([issuer] if issuer else []))
    if kind == "GitHub":
        url = f"{_github(issuer or GITHUB)}/{repository}"
        named = {"kind": kind, "repository": repository, "workflow": workflow, "environment": environment}
        file = f"{url}/.github/workflows/{workflow}"
    else:
        url = f"{(issuer or GITLAB).rstrip('/')}/{repository}"
        named = {"kind": kind, "repository": repository, "workflow_filepath": workflow, "environment": environment}
        file = f"{url}//{workflow}"
    if issuer:  # whoever knows the kinds of PyPI only must not take it for a repository there
        named |= {"kind": f"{kind}SelfManaged", "issuer": issuer}
    return Identity(issuer or (GITHUB if kind == "GitHub" else GITLAB), url, file, named)


def _github(issuer: str) -> str:
    """Where the repositories are for which this issuer makes tokens."""
    parts = urlsplit(issuer)
    if parts.hostname == _GITHUB_HOST:
        return "https://github.com"
    resident = _RESIDENT.fullmatch(parts.hostname or "")
    return f"https://{resident[1] if resident is not None else parts.netloc}"


def _demand_whole(*names: str) -> None:
    """The source of a file has long names cut, and odd letters replaced: they are nobody's."""
    if any(not name or "?" in name or len(name) >= MAX_VALUE for name in names):
        raise BadRequestError(
            "the repository or the workflow has a name that tokens can't hold",
            public="Invalid upload: the name of the repository, the workflow or the issuer is too long, or has letters "
            "outside ASCII: its attestations can't be verified",
        )
