"""The settings of a mount: where it is, and which sections of the top level it may give anew."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.config.section import Section
from gateway.config.types import MountPrefix, Refused, Words

# The mount that the top level of the settings describes.
DEFAULT = "default"
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\]")
_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
# Sections that a mount may give. What it does not give is as at the top level.
SECTIONS_OF_MOUNTS = ("storage", "rewrite", "index", "fallback", "policy", "publish", "access", "site", "cors")
# Those that mean something for a mount that has no objects of its own, but members.
SECTIONS_OF_MEMBERED = frozenset({"cors"})
# A mount that names one of these is another place.
NAMES_OF_PLACES = ("backend", "bucket", "dir")
_FACTS_OF_PLACES = (*NAMES_OF_PLACES, "options", "create_bucket", "prefix", "prepend_hash", "public_url")
_CREDENTIALS = ("profile_name", "aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_ROLE = ("assume_role_arn", "assume_role_external_id")
_KEYS = ("cloud_front_key_file", "cloud_front_key_string", "cloud_front_key_password")
# For a mount that gives one of the former for its storage, the latter of the top level mean nothing: they tell what is
# at another place, or are parts of other credentials and keys, some of which would win over those that are given.
REPLACED = tuple(
    (frozenset(given), frozenset(replaced))
    for given, replaced in (
        (NAMES_OF_PLACES, (*_FACTS_OF_PLACES, "cloud_front_domain")),
        (("profile_name", "aws_access_key_id"), (*_CREDENTIALS, *_ROLE)),
        (("assume_role_arn",), _ROLE),
        (_KEYS, _KEYS),
        (("server_side_encryption",), ("sse_kms_key_id",)),
    )
)


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise Refused("must be of small letters, digits and hyphens, 63 at most, like team-b")
    return text


def _host(text: str) -> str:
    text = text.lower().rstrip(".")
    if text and not _HOST.fullmatch(text):
        raise Refused("must be a host name without a port, like pypi.example.org or *.example.org")
    return text


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise Refused("must be a path like /team-b, of letters, digits, -, _, . and ~")
    return text


class MountSettings(Section):
    """Where a mount is: its name, its path or its host, or both."""

    name: Annotated[str, AfterValidator(_name)] = Field(
        DEFAULT, description="Name of the mount in logs, metrics and commands, like team-b"
    )
    path: Annotated[MountPrefix, AfterValidator(_path)] = Field(
        "", description="Path below server.base_path at which it is, like /team-b"
    )
    host: Annotated[str, AfterValidator(_host)] = Field(
        "", description="Host name by which clients reach it, like pypi.example.org or *.example.org; unset: any"
    )
    buckets: Words = Field(
        [],
        description="Makes a mount of each of these buckets, whose name stands for {bucket} in path or host; no others",
    )
    members: Words = Field(
        [], description="Makes it a virtual index: names of mounts; the first that has a project serves all of it"
    )
    publish_to: str | None = Field(
        None, description="With members: the one that takes what is uploaded; unset: nothing is taken"
    )
