"""Which keys stand for the SBOMs in a wheel. Pure."""

from dataclasses import dataclass
from urllib.parse import quote

from gateway.index.simple.names import parse

_WHEEL = ".whl"
SUFFIX = ".sboms"
_MARK = f"{_WHEEL}{SUFFIX}/"


@dataclass(frozen=True, slots=True)
class SbomTarget:
    """`wheel` is the key of the wheel. `path` is that of one SBOM below the wheel's directory of SBOMs; it is empty for
    the list of all."""

    wheel: str
    path: str

    def beside(self, wheel: str) -> str:
        """The relative reference that leads from here to the same of the wheel to which `wheel` leads from the place of
        this one."""
        up = "../" * (1 + self.path.count("/"))
        return f"{up}{wheel}{SUFFIX}/{quote(self.path, safe='/~')}"


def may_be_of_sboms(path: str) -> bool:
    """Whether `sbom_target` may find something in a path."""
    return _MARK in path


def sbom_target(key: str) -> SbomTarget | None:
    """What a key stands for: `<wheel>.sboms/` and what is below it. None for all other keys: no other way leads to
    SBOMs, so that rights need to know no other. The first folder that is named so counts."""
    at = key.find(_MARK)
    if at < 0:
        return None
    wheel = key[: at + len(_WHEEL)]
    if parse(wheel.rpartition("/")[2]) is None:
        return None
    return SbomTarget(wheel, key[at + len(_MARK) :])
