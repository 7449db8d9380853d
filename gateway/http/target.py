"""Request targets and keys: decoded once on the way in, encoded once on the way out.

Everything that looks at a path (access, routes, storage) sees what `parse_target` returns; nothing decodes again.
"""

import re
from urllib.parse import quote, unquote, unquote_to_bytes

from gateway.errors import BadRequestError

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ABSOLUTE_FORM = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_URI_SAFE = "!#$%&'()*+,/:;=?@[]~"
_URI = re.compile(rf"[A-Za-z0-9_.~{re.escape(_URI_SAFE)}-]*")
_QUERY_SAFE = "!$%&'()*+,/:;=?@~"
_MAX_NESTED_ESCAPES = 8
# Directories of the storage that the gateway keeps for itself: clients can't read or write there. In one of them lie
# copies of another index's files, which clients get by other paths.
_OWN = ".gateway"
RESERVED = frozenset({_OWN, ".mirror"})
# A path without any of these has no dot segment, in any encoding.
_SUSPECT = re.compile(r"[%\\]|/\.")
_SEPARATORS = re.compile(r"[/\\]")


def parse_target(target: str) -> tuple[str, str]:
    """Splits a raw request target (RFC 9112, 3.2) into the decoded path, which starts with `/`, and the raw query.

    `target` is text as the HTTP parser gives it: bytes over 0x7f are UTF-8 or surrogate escapes.
    Raises BadRequestError for anything that has no single meaning: invalid escapes or UTF-8, control characters,
    `.` and `..` segments in any encoding, a fragment, a form without a path.
    """
    if match := _ABSOLUTE_FORM.match(target):
        target = target[match.end() :] or "/"
    raw_path, _, query = target.partition("?")
    if not raw_path.startswith("/"):
        raise BadRequestError("target is not a path", public="The request target must start with /")
    if "#" in target:
        raise BadRequestError("fragment in target", public="The request target must not have a fragment")
    path = raw_path if raw_path.isascii() and "%" not in raw_path else _decode(raw_path)
    if _CONTROL.search(path):
        raise BadRequestError("control character in path", public="The path must not have control characters")
    if _SUSPECT.search(path):
        _refuse_dot_segments(path)
    return path, query


def host_of(target: str) -> str:
    """The host that a raw request target names, which counts in place of the header (RFC 9112, 3.2.2); mostly empty."""
    match = None if target.startswith("/") else _ABSOLUTE_FORM.match(target)
    return match[0].partition("://")[2].rpartition("@")[2] if match else ""


def _decode(raw_path: str) -> str:
    if _BAD_ESCAPE.search(raw_path):
        raise BadRequestError("invalid escape in path", public="The path has an invalid percent-escape")
    try:
        return unquote_to_bytes(raw_path.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeError as error:
        raise BadRequestError("path is not UTF-8", public="The path is not valid UTF-8") from error


def _refuse_dot_segments(path: str) -> None:
    # A server behind us may decode once more, or take a backslash for a slash: it must find no dot segment either.
    for _ in range(_MAX_NESTED_ESCAPES):
        if (decoded := unquote(path)) == path:
            break
        path = decoded
    else:
        raise BadRequestError("nested escapes in path", public="The path is percent-encoded too many times")
    if any(segment in (".", "..") for segment in _SEPARATORS.split(path)):
        raise BadRequestError("dot segment in path", public="The path must not have . or .. segments")


def strip_prefix(path: str, prefix: str) -> str | None:
    """`path` without the leading `prefix` (whole segments, no trailing slash); None if it is not below it."""
    if not prefix:
        return path
    if path == prefix:
        return "/"
    return path[len(prefix) :] if path.startswith(prefix + "/") else None


def key_of(path: str, *, base_path: str, strip: str, add: str) -> str | None:
    """The key that a path names: without `base_path`, then with `strip` removed and `add` put in front. None for a path
    outside `base_path`.

    A path that does not start with `strip` is used as it is.
    """
    inner = strip_prefix(path, base_path)
    if inner is None:
        return None
    stripped = strip_prefix(inner, strip)
    return (add + (inner if stripped is None else stripped))[1:]


def is_reserved(key: str) -> bool:
    """Whether a key leads into a directory that the gateway keeps for itself, at any depth."""
    return "/." in f"/{key}" and not RESERVED.isdisjoint(key.split("/"))


def is_own(key: str) -> bool:
    """Whether a key leads to what only the gateway itself reads."""
    return _OWN in key.split("/")


def encode_key(key: str) -> str:
    """The key as S3 signs and sends it: unreserved characters and `/` stay, all else is `%XX` of UTF-8.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html (UriEncode)
    """
    return quote(key, safe="/~")


def relative_directory(path: str, query: str) -> str:
    """A relative Location that leads from `path` to `path/`, whatever prefix a proxy has removed from it.

    It starts with `./`, so that no name can be read as a scheme or a host (RFC 3986, 4.2).
    """
    return f"./{quote(path.rpartition('/')[2], safe='~')}/{query_part(query)}"


def location(reference: str) -> str:
    """A URI reference for a header (RFC 3986, 2): characters that no URI may contain are percent-encoded as UTF-8;
    existing escapes stay as they are."""
    if _URI.fullmatch(reference):
        return reference  # true of every signed URL; quote() would take 8 µs to find that out
    return quote(reference.encode("utf-8", "surrogateescape"), safe=_URI_SAFE)


def query_part(query: str) -> str:
    """A raw query, encoded for a Location, with its question mark; empty for an empty query."""
    return "?" + quote(query.encode("utf-8", "surrogateescape"), safe=_QUERY_SAFE) if query else ""
