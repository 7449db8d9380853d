"""The section `policy`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.access.secure_url import is_secure_url
from gateway.config.access.settings import Project, Projects, from_yaml
from gateway.config.policy.values import Line, Moment, Provenance, PythonVersion, Span, Versions
from gateway.config.section import Section
from gateway.config.types import COMMA_SEPARATED, NonNegativeSeconds, Refused, Size, Words

# Those of a rule.
CONDITIONS = (
    "projects",
    "versions",
    "kinds",
    "older_than",
    "younger_than",
    "upstreams",
    "advisories",
    "severity",
    "licences",
    "provenance",
    "requires_python",
    "larger_than",
)
# Each file of each page is tried with each rule about its project, at some 2 µs.
_MOST_RULES = 1000

_FILE = "file:"


def _source(text: str) -> str:
    """A URL, or the path of a file that can be read, absolute and without `file:`."""
    if "://" in text and not text.startswith(_FILE):
        if not is_secure_url(text):
            raise Refused("must be an https address (http only on this machine), or a file")
        return text
    path = Path(text.removeprefix(f"{_FILE}//") if text.startswith(f"{_FILE}//") else text.removeprefix(_FILE))
    if not text or not path.is_file():
        raise Refused("names a file that is not there, or is none; an address begins with https://")
    try:
        path.open("rb").close()
    except OSError as error:
        raise Refused(f"names a file that can't be read: {error.strerror}") from None
    return str(path.absolute())


SeverityName = Literal["low", "medium", "high", "critical"]


class PolicyRuleSettings(Section):
    """What happens to files that fit all conditions which are given."""

    verdict: Literal["allow", "warn", "hold", "deny"] = Field(description="allow, warn, hold, or deny")
    reason: str = Field("", max_length=500, description="Told to people whose installation it stops")
    until: Moment | None = Field(None, description="Date from which the rule no longer applies, like 2027-01-01")
    projects: Projects = Field([], description="Names of projects, or patterns like acme-*")
    versions: Versions | None = Field(None, description="Versions like >=2,<3")
    kinds: Annotated[list[Literal["wheel", "sdist", "other"]], COMMA_SEPARATED] = Field(
        [], description="wheel, sdist, other"
    )
    older_than: Span | None = Field(None, description="Files that have been out for so long, like 365d")
    younger_than: Span | None = Field(None, description="Files that have not been out for so long, like 30d")
    upstreams: Words = Field(
        [], description="Hosts of the index that a file comes from, like pypi.org or *.example.org"
    )
    advisories: Words = Field([], description="Ids of advisories that affect the version, or patterns like MAL-*")
    severity: SeverityName | None = Field(None, description="Of such an advisory, at least: low to critical")
    licences: Words = Field([], description="Licences that cannot be avoided, as SPDX has them, like AGPL-*")
    provenance: Annotated[list[Provenance], COMMA_SEPARATED] = Field(
        [],
        description="none, invalid, lost, changed, or publishers like github:acme/*, by the attestations of the file",
    )
    requires_python: PythonVersion | None = Field(None, description="Files that this Python can install, like '3.12'")
    larger_than: Size | None = Field(None, ge=0, description="Files of more bytes, like 500MB")

    @model_validator(mode="after")
    def _is_clear(self) -> "PolicyRuleSettings":
        if not any(getattr(self, name) not in (None, []) for name in CONDITIONS):
            raise Refused("must have a condition: " + ", ".join(CONDITIONS))
        return self


class ExceptionSettings(Section):
    """Versions of a project that come in whatever the rules say."""

    project: Project = Field(description="Name of a project, or a pattern like acme-*")
    versions: Versions | None = Field(None, description="Versions like ==1.4.2; unset: all")
    until: Moment = Field(description="Date on which it ends, like 2027-01-01")
    reason: Line = Field(description="Why")
    author: Line = Field(description="Who answers for it")


class AdvisorySettings(Section):
    """Advisories in OSV's format, and what is done about versions that they affect."""

    source: Annotated[str, AfterValidator(_source)] = Field(
        description="Archive of them, as an https address or a file, such as "
        "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
    )
    refresh: NonNegativeSeconds = Field(
        3600.0, ge=60, description="Seconds after which the address is asked for changes; a file is followed"
    )
    malware: Literal["allow", "warn", "hold", "deny"] = Field(
        "deny", description="For versions that are malware (MAL-*)"
    )
    vulnerabilities: Literal["allow", "warn", "hold", "deny"] = Field(
        "warn", description="For versions with other advisories"
    )
    severity: SeverityName | None = Field(None, description="Least severity of these; unset: all, also without one")
    if_unknown: Literal["allow", "hold"] = Field(
        "allow", description="For all files while no advisories could be read: allow, or hold"
    )

    @property
    def file(self) -> Path | None:
        """The source, if it is a file."""
        return Path(self.source) if "://" not in self.source else None


class PolicySettings(Section):
    """Which files of the other index come in, and when."""

    min_age: Span = Field(0.0, description="Time that a file must have been out, like 7d; 0: none")
    rules: Annotated[list[PolicyRuleSettings], BeforeValidator(from_yaml), Field(max_length=_MOST_RULES)] = Field(
        [],
        description="The first that fits decides, before advisories and min_age: [{projects: [boto*], verdict: allow}]",
    )
    exceptions: Annotated[list[ExceptionSettings], BeforeValidator(from_yaml), Field(max_length=_MOST_RULES)] = Field(
        [],
        description="Come before all rules: [{project: leftpad, versions: ==2.1, until: 2027-01-01, reason: SEC-12, "
        "author: ann}]; others are made by gateway policy allow",
    )
    advisories: Annotated[AdvisorySettings | None, BeforeValidator(from_yaml)] = Field(
        None, description="Known malware and vulnerabilities, in OSV's format: {source: https://…/all.zip}"
    )
    untrusted: bool = Field(
        False, description="Judge the files of the storage itself, too, like those of another index"
    )

    @property
    def decides(self) -> bool:
        """Whether there is anything to decide."""
        return self.min_age > 0 or bool(self.rules) or self.advisories is not None
