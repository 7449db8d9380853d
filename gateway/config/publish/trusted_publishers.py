"""The settings of trusted publishers: jobs of CI that publish without a password, by a token of their issuer."""

import re
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from gateway.config.access.oidc import ClaimPattern, IssuerUrl, Text, claim_text
from gateway.config.access.settings import Projects
from gateway.config.section import Section
from gateway.config.types import Hosts, Refused

GITHUB, GITLAB = "https://token.actions.githubusercontent.com", "https://gitlab.com"
# All that a publisher names has to fit into a token.
MOST_PROJECT_CHARACTERS = 400
_PUBLIC = {urlsplit(GITHUB).hostname: "github", urlsplit(GITLAB).hostname: "gitlab"}
_GITHUB_REPOSITORY = re.compile(r"[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]{1,100}", re.ASCII)
_GITLAB_REPOSITORY = re.compile(r"[A-Za-z0-9._-]{1,255}(?:/[A-Za-z0-9._-]{1,255}){1,20}", re.ASCII)
_WORKFLOW = re.compile(r"[^/@\s]{1,200}\.ya?ml")
_PIPELINE = re.compile(r"[^@\s]{1,200}\.ya?ml")
_AUDIENCE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}", re.ASCII)
# Compared anyway, or other ones in each token.
_CLAIMS_OF_NO_JOB = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})
# Their tokens are for others: nobody who gets one from a job may use it here.
_AUDIENCES_OF_OTHERS = frozenset({"pypi", "testpypi", "sigstore"})


def _audience(text: str) -> str:
    if not _AUDIENCE.fullmatch(text):
        raise Refused("must be a word like acme-packages: letters, digits, dots, dashes and underscores")
    if text.lower() in _AUDIENCES_OF_OTHERS:
        raise Refused("is the audience of another index: choose one that no other has, like acme-packages")
    return text


def _github_repository(text: str) -> str:
    if not _GITHUB_REPOSITORY.fullmatch(text):
        raise Refused("must be OWNER/NAME, like acme/web, without https:// and without wildcards")
    return text


def _gitlab_repository(text: str) -> str:
    if not _GITLAB_REPOSITORY.fullmatch(text):
        raise Refused("must be the path of a project, like acme/tools/web, without https:// and without wildcards")
    return text


def _workflow(text: str) -> str:
    if not _WORKFLOW.fullmatch(text):
        raise Refused("must be the name of a file in .github/workflows, like release.yml")
    return text


def _pipeline(text: str) -> str:
    if not _PIPELINE.fullmatch(text) or text.startswith("/"):
        raise Refused("must be the path of a file in the project, like .gitlab-ci.yml")
    return text


def _number(value: Any) -> Any:
    text = claim_text(value)
    if isinstance(value, bool) or text is None or not (text.isascii() and text.isdigit()):
        raise Refused("must be a number: it stays the same when somebody else takes the name")
    return text


def _telling(text: str) -> str:
    if not text.strip("*? "):
        raise Refused("would be true of every token: give more than wildcards")
    return text


def _ref(text: str) -> str:
    if not text.startswith("refs/"):
        raise Refused("must be a full name, like refs/heads/main or refs/tags/v*")
    _telling(text.removeprefix("refs/").replace("/", ""))
    return text


def _given(value: Any) -> Any:
    """A line without a value, as a template leaves it that has none, would permit more than was meant."""
    if value is None:
        raise Refused("is empty: give it, or leave the line out, which permits any")
    return value


def _of_job(name: str) -> str:
    if name in _CLAIMS_OF_NO_JOB:
        raise Refused("is in every token: it tells no job from another")
    return name


def _of_few(projects: Projects) -> Projects:
    if not projects:
        raise Refused("must name projects, or patterns like acme-*")
    if sum(len(pattern.text) + 3 for pattern in projects) > MOST_PROJECT_CHARACTERS:  # with quotes and commas
        raise Refused(f"has over {MOST_PROJECT_CHARACTERS} characters: use patterns like acme-*")
    return projects


Audience = Annotated[str, AfterValidator(_audience)]
Pattern = Annotated[ClaimPattern, AfterValidator(_telling)]
Ref = Annotated[Pattern, AfterValidator(_ref)]
OwnerId = Annotated[str, BeforeValidator(_number)]
Given = BeforeValidator(_given)
Claim = Annotated[Text, AfterValidator(_of_job)]


class _Publisher(Section):
    """What publishers of all kinds have."""

    projects: Annotated[Projects, AfterValidator(_of_few)] = Field(
        description="Projects that it may publish: names, or patterns like acme-*"
    )
    claims: dict[Claim, Pattern] = Field(
        {},
        description="Further claims that its tokens must have, each with its value; * and ? stand for what may differ",
    )
    allow_hosts: Hosts = Field(
        [], description="Other hosts with internal addresses that may have the issuer's keys, as host or host:port"
    )


class GitHubPublisher(_Publisher):
    """Of kind github: a workflow of GitHub Actions."""

    kind: Literal["github"] = Field(description="github")
    repository: Annotated[str, AfterValidator(_github_repository)] = Field(description="OWNER/NAME, in any case")
    workflow: Annotated[str, AfterValidator(_workflow)] = Field(
        description="The file in .github/workflows that has the job, like release.yml"
    )
    environment: Annotated[Text | None, Given] = Field(
        None, description="The job's environment, in any case; unset: any, or none"
    )
    ref: Annotated[Ref | None, Given] = Field(
        None, description="Branch or tag, like refs/tags/v*; unset: any that is no pull request"
    )
    owner_id: Annotated[OwnerId | None, Given] = Field(
        None, description="Claim repository_owner_id: somebody else who takes the owner's name later has another"
    )
    issuer: IssuerUrl = Field(GITHUB, description="For GitHub Enterprise Server: https://HOST/_services/token")


class GitLabPublisher(_Publisher):
    """Of kind gitlab: a pipeline of GitLab."""

    kind: Literal["gitlab"] = Field(description="gitlab")
    repository: Annotated[str, AfterValidator(_gitlab_repository)] = Field(
        description="Path of the project, like acme/tools/web, in any case"
    )
    pipeline: Annotated[str, AfterValidator(_pipeline)] = Field(
        ".gitlab-ci.yml", description="The file in the project that has the pipeline"
    )
    environment: Annotated[Text | None, Given] = Field(None, description="The job's environment; unset: any, or none")
    ref: Annotated[Ref | None, Given] = Field(
        None, description="Branch or tag, like refs/tags/v*; unset: any that is no merge request"
    )
    owner_id: Annotated[OwnerId | None, Given] = Field(
        None, description="Claim namespace_id: somebody else who takes the namespace's name later has another"
    )
    issuer: IssuerUrl = Field(GITLAB, description="URL of your GitLab")


class OtherPublisher(_Publisher):
    """Of kind issuer: whatever another issuer of OpenID Connect vouches for."""

    kind: Literal["issuer"] = Field(description="issuer")
    issuer: IssuerUrl = Field(description="URL of the issuer, exactly as its tokens have it in the claim iss")
    claims: Annotated[dict[Claim, Pattern], Field(min_length=1)] = Field(
        description="Claims that its tokens must have, each with its value; * and ? stand for what may differ"
    )

    @model_validator(mode="after")
    def _has_no_kind(self) -> "OtherPublisher":
        if (kind := _PUBLIC.get(urlsplit(self.issuer).hostname)) is not None:
            raise Refused(f"is of kind {kind}: everybody can get tokens of this issuer, and that kind knows its claims")
        return self


def _kind(value: Any) -> Any:
    return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)


TrustedPublisher: TypeAlias = GitHubPublisher | GitLabPublisher | OtherPublisher
AnyPublisher = Annotated[
    Annotated[GitHubPublisher, Tag("github")]
    | Annotated[GitLabPublisher, Tag("gitlab")]
    | Annotated[OtherPublisher, Tag("issuer")],
    Discriminator(
        _kind, custom_error_type="kind", custom_error_message="needs a kind, which is github, gitlab or issuer"
    ),
]
