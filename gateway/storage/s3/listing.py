"""ListObjectsV2: builds the query and parses the answer.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from gateway.errors import UpstreamError
from gateway.storage.base import StoredObject

MAX_KEYS = 1000
# This many empty pages in a row are allowed: S3 may have to skip removed objects.
_MAX_EMPTY_PAGES = 100
_MAX_SIZE = 2**63
_OPEN, _CLOSE = b"<Contents>", b"</Contents>"


@dataclass(frozen=True, slots=True)
class ListingPage:
    """One answer: objects, and with a delimiter directories, in key order; and the token of the next page, if any."""

    objects: list[StoredObject]
    folders: list[str]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Outline:
    """A page without its objects parsed: the token of the next page, and the last object's key. `contents` are the
    bytes that describe the objects: the same for the same objects, unlike the token."""

    next_token: str | None
    last_key: str
    contents: bytes


class Progress:
    """Detects a listing that never ends or repeats pages. Keys need not ascend: some servers sort a directory by its
    name without the slash."""

    def __init__(self) -> None:
        self._contents: set[int] = set()  # hashes of 8 bytes for each page: a listing may have thousands of pages
        self._tokens: set[int] = set()
        self._empty = 0

    def note(self, content: Hashable, token: str | None) -> None:
        """`content` is what a page has, or its digest, and falsy if the page is empty; `token` fetches the next page.
        Raises UpstreamError if the listing makes no progress."""
        self._empty = 0 if content else self._empty + 1
        if token is None:
            return
        if _has(self._tokens, token):
            raise _endless("two of its pages have the same token")
        if content and _has(self._contents, content):
            raise _endless("two of its pages have the same objects")
        if self._empty > _MAX_EMPTY_PAGES:
            raise _endless(f"{self._empty} pages in a row have no objects")


def _has(seen: set[int], item: Hashable) -> bool:
    """Adds the item. Returns whether it was in the set before."""
    before = len(seen)
    seen.add(hash(item))
    return len(seen) == before


def _endless(why: str) -> UpstreamError:
    return UpstreamError(f"the listing has no end: {why}", code="NoListing")


def parameters(
    prefix: str, *, limit: int = MAX_KEYS, token: str | None = None, delimiter: str = "", after: str = ""
) -> dict[str, str]:
    """Returns the query parameters of one call, for keys after `after`. With a delimiter, the answer has directories in
    place of the keys below them.

    The answer has URL-encoded keys, since XML can't carry every key.
    """
    query = {"list-type": "2", "encoding-type": "url", "max-keys": str(min(limit, MAX_KEYS))}
    if prefix:
        query["prefix"] = prefix
    if delimiter:
        query["delimiter"] = delimiter
    if token:
        query["continuation-token"] = token
    if after:
        query["start-after"] = after
    return query


def parse(body: bytes) -> ListingPage:
    """Reads a ListBucketResult; raises UpstreamError if the body is not one."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  expat itself refuses entity bombs
        namespace = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
        if root.tag != f"{namespace}ListBucketResult":
            raise ValueError(f"root element is {root.tag}")
        encoded = root.findtext(f"{namespace}EncodingType") == "url"

        def text(element: ElementTree.Element, name: str) -> str:
            return element.findtext(namespace + name) or ""

        def key(element: ElementTree.Element, name: str) -> str:
            return unquote_plus(text(element, name)) if encoded else text(element, name)

        objects = [
            StoredObject(
                key=key(item, "Key"),
                size=_size(text(item, "Size")),
                etag=_etag(text(item, "ETag")),
                modified=datetime.fromisoformat(text(item, "LastModified")).timestamp(),
            )
            for item in root.iter(f"{namespace}Contents")
        ]
        folders = [key(item, "Prefix") for item in root.iter(f"{namespace}CommonPrefixes")]
        truncated = text(root, "IsTruncated").strip().lower()
        if truncated not in ("true", "false"):  # if a proxy truncated the body, the listing would seem to be empty
            raise ValueError("IsTruncated is missing or invalid")
        token = text(root, "NextContinuationToken") if truncated == "true" else None
        if token == "":
            raise ValueError("IsTruncated is true, but there is no NextContinuationToken")
        return ListingPage(objects, folders, token)
    except (ElementTree.ParseError, ValueError, LookupError, OverflowError) as error:  # LookupError: unknown encoding
        raise UpstreamError(f"the listing can't be read: {error}", code="NoListing") from error


def _etag(text: str) -> str:
    """With its quotes, as in a header: some servers list it without. Empty if there is none."""
    return f'"{text}"' if text and '"' not in text else text


def _size(text: str) -> int:
    size = int(text)
    if not 0 <= size < _MAX_SIZE:  # what keeps a listing in memory has no room for others
        raise ValueError("an object has an impossible size")
    return size


def outline(body: bytes) -> Outline:
    """Raises UpstreamError like `parse`, except for errors between the first and the last object."""
    first, last, end = body.find(_OPEN), body.rfind(_OPEN), body.rfind(_CLOSE) + len(_CLOSE)
    known = 0 <= first <= last < end
    page = parse(body[:first] + body[last:] if known else body)
    last_key = page.objects[-1].key if page.objects else ""
    return Outline(page.next_token, last_key, body[first:end] if known else body)
