"""Which keys stand for a document of PyPI's JSON API. Pure.

https://docs.pypi.org/api/json/
"""

from dataclasses import dataclass
from urllib.parse import quote

from gateway.index.simple.names import normalize

_FOLDER, _NAME = "pypi", "json"


@dataclass(frozen=True, slots=True)
class ReleaseTarget:
    """`project` and `version` are as the client spells them; without a version, the document is about the project."""

    project: str
    version: str | None = None

    @property
    def name(self) -> str:
        """The normalised name of the project."""
        return normalize(self.project)

    @property
    def path(self) -> str:
        """The path of the document from the root of an index, encoded."""
        parts = [_FOLDER, self.name, *((self.version,) if self.version is not None else ()), _NAME]
        return "/".join(quote(part, safe="~") for part in parts)

    @property
    def up(self) -> str:
        """The relative path from the document to the root."""
        return "../" * (2 if self.version is None else 3)


def release_target(inner: str) -> ReleaseTarget | None:
    """What `inner`, a key below the root, stands for: `pypi/<project>/json`, `pypi/<project>/<version>/json`. None for
    all other keys: no other way leads to these documents, so that rights need to know no other."""
    if not inner.endswith(f"/{_NAME}"):
        return None
    match inner.split("/"):
        case [folder, project, name] if (folder, name) == (_FOLDER, _NAME) and project:
            return ReleaseTarget(project)
        case [folder, project, version, name] if (folder, name) == (_FOLDER, _NAME) and project and version:
            return ReleaseTarget(project, version)
    return None
