"""Which SBOMs a wheel has, by its directory.

https://packaging.python.org/en/latest/specifications/binary-distribution-format/#the-dist-info-sboms-directory
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from gateway.cache.lru import weight_of
from gateway.errors import BadRequestError
from gateway.http.target import is_reserved, parse_target
from gateway.index.wheels.wheel import Directory, Member, WheelError, entries, find_metadata

MAX_SBOMS = 256
_MAX_NAME_BYTES = 512
_FOLDER = b"sboms/"
_MEMBER_BYTES = 512  # in memory, with its place in the mapping


@dataclass(frozen=True, slots=True)
class Sboms:
    """The members of a wheel below its `sboms/`, by their paths there, in alphabetical order. `left_out` counts those
    that no URL can name, or that share their name. Members end where the wheel's directory starts."""

    members: Mapping[str, Member]
    left_out: int
    directory_start: int

    @property
    def weight(self) -> int:
        """Approximate bytes in memory."""
        return _MEMBER_BYTES + sum(weight_of(path) + _MEMBER_BYTES for path in self.members)


def sboms_of(directory: Directory, project: str) -> Sboms:
    """Those in the folder of the project's only METADATA: a wheel may contain folders of others. Raises WheelError."""
    folder = find_metadata(directory.entries, project)[0] + _FOLDER
    found, shared, left_out = dict[str, Member](), set[str](), 0
    for name, member in entries(directory.entries, beginning=folder):
        if name.endswith(b"/"):
            continue
        path = _path(name.removeprefix(folder))
        if path is None or path in shared:
            left_out += 1
        elif path in found:
            # Which one is unpacked is up to each tool.
            del found[path]
            shared.add(path)
            left_out += 2
        else:
            found[path] = member
        if len(found) + len(shared) > MAX_SBOMS:
            raise WheelError(f"it has over {MAX_SBOMS} SBOMs")
    return Sboms(dict(sorted(found.items())), left_out, directory.start)


def _path(name: bytes) -> str | None:
    """None unless a client can ask for this name, and gets what it has asked for."""
    try:
        path = name.decode("utf-8") if len(name) <= _MAX_NAME_BYTES else ""
        asked, _ = parse_target(f"/{quote(path)}")
    except (UnicodeDecodeError, BadRequestError):
        return None
    plain = "\\" not in path and "" not in path.split("/") and not is_reserved(path)
    return path if plain and asked == f"/{path}" else None
