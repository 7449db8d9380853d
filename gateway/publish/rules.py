"""The rules that uploads have to keep, each of which the settings can switch off. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from gateway.errors import BadRequestError


class Rule(Enum):
    """The value is the rule's name in `publish.skip_rules`, and in the message of who breaks it."""

    DIGEST = "digest"  # the form gives a SHA-256 or BLAKE2b-256
    SDIST_NAME = "sdist-name"  # name_of_project-version.tar.gz (PEP 625)
    ONE_SDIST = "one-sdist"  # a release has no other sdist
    SIZE_RATIO = "size-ratio"  # unpacked, a file of over 64 MiB is at most fifty times as large
    LAYOUT = "layout"  # the folders of wheels and sdists, and no paths that lead out of them
    FRAMING = "framing"  # the members of a wheel are exactly those of its directory
    DUPLICATES = "duplicates"  # no member of a wheel twice
    METADATA = "metadata"  # name, version and Requires-Python in the file are those of its name and of the form


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules but those of `skipped`."""

    skipped: frozenset[Rule] = frozenset()

    @classmethod
    def without(cls, names: Collection[str]) -> "Rules":
        return cls(frozenset(Rule(name) for name in names))

    def hold(self, rule: Rule) -> bool:
        return rule not in self.skipped

    def demand(self, rule: Rule, kept: bool, why: str) -> None:
        """Raises BadRequestError unless the rule is kept, or skipped."""
        if not kept and self.hold(rule):
            raise BadRequestError(f"{why} (rule {rule.value})", public=f"Invalid file: {why} (rule {rule.value})")


def invalid_upload(why: str) -> BadRequestError:
    """For an upload that contradicts itself, the file, or what is there."""
    return BadRequestError(why, public=f"Invalid upload: {why}")


def refused(why: str) -> BadRequestError:
    """For a file that is not in order, whichever rules are skipped."""
    return BadRequestError(f"the archive: {why}", public=f"Invalid file: {why}")
