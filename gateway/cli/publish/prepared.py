"""Release files on this machine, looked at before any of them is sent."""

import glob
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from gateway.errors import BadRequestError
from gateway.executors import DISK, UPLOADS
from gateway.publish.inspection import Inspection
from gateway.publish.release_file import ReleaseFile, release_file
from gateway.publish.rules import Rule, Rules, invalid_upload

_PIECE_BYTES = 1024 * 1024
_MAX_ATTESTATION = 256 * 1024


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that is in order; `release` has its digests and its Requires-Python. `attestations` are JSON objects."""

    path: Path
    size: int
    release: ReleaseFile
    attestations: tuple[str, ...] = ()


async def prepare(
    paths: Sequence[Path], rules: Rules, *, attestations: bool = False
) -> tuple[list[Prepared], dict[Path, str]]:
    """Those that are in order, wheels first; and why the others are not. Whoever installs meanwhile would else build
    from the sdist. With `attestations`, those beside the files are read."""
    good, bad = list[Prepared](), dict[Path, str]()
    for path in dict.fromkeys(paths):
        try:
            good.append(await UPLOADS.run(_looked_at, path, rules, attestations))
        except BadRequestError as error:
            bad[path] = error.public
        except OSError as error:
            bad[path] = f"it can't be read: {error.strerror}"
    return sorted(good, key=lambda prepared: (not prepared.release.is_wheel, prepared.path.name)), bad


def _looked_at(path: Path, rules: Rules, attestations: bool) -> Prepared:
    told = Rules(rules.skipped | {Rule.DIGEST})  # there are none yet
    release = release_file({}, path.name, told)
    inspection, other, size = Inspection(release, rules), blake2b(digest_size=32), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            inspection.feed(piece)
            other.update(piece)
            size += len(piece)
    digests = {"sha256": inspection.finish(), "blake2_256": other.hexdigest()}
    release = replace(release, digests=digests, requires_python=inspection.requires_python)
    return Prepared(path, size, release, _beside(path) if attestations else ())


def _beside(path: Path) -> tuple[str, ...]:
    """The attestations of a file. Raises BadRequestError, and OSError."""
    found = list[str]()
    for beside in sorted(path.parent.glob(f"{glob.escape(path.name)}.*.attestation")):
        with beside.open("rb") as file:
            content = file.read(_MAX_ATTESTATION + 1)
        try:
            read = json.loads(content) if len(content) <= _MAX_ATTESTATION else None
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict):
            raise invalid_upload(f"{beside.name} is not an attestation (PEP 740)")
        found.append(json.dumps(read))
    return tuple(found)


async def pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """The bytes of a file. Raises OSError."""
    while piece := await DISK.run(file.read, _PIECE_BYTES):
        yield piece
