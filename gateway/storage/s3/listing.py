"""ListObjectsV2: its query and its answer.

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
# So many pages without objects may follow one another: S3 may have to look past what has been removed.
_MAX_EMPTY_PAGES = 100
_OPEN, _CLOSE = b"<Contents>", b"</Contents>"


@dataclass(frozen=True, slots=True)
class ListingPage:
    """One answer: objects, and with a delimiter directories, in key order; and the token that fetches the next page,
    if there is one."""

    objects: list[StoredObject]
    folders: list[str]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Outline:
    """What a page says but for its objects: the token that fetches the next page, and the last object's key. `contents`
    are the bytes that tell the objects: the same for the same objects, as the token is not."""

    next_token: str | None
    last_key: str
    contents: bytes


class Progress:
    """Watches over the pages of one listing, which might come to no end, or go in a circle. Keys need not ascend: some
    servers list a directory at the place of its name."""

    def __init__(self) -> None:
        self._told: set[int] = set()  # hashes, of 8 bytes a page: a listing may have thousands
        self._tokens: set[int] = set()
        self._empty = 0

    def note(self, told: Hashable, token: str | None) -> None:
        """`told` is what a page has, or a digest of it, and falsy where it has nothing; `token` is for the next page.
        Raises UpstreamError where the listing gets no further."""
        self._empty = 0 if told else self._empty + 1
        if token is None:
            return
        if _has(self._tokens, token):
            raise _endless("two of its pages have the same token")
        if told and _has(self._told, told):
            raise _endless("two of its pages have the same objects")
        if self._empty > _MAX_EMPTY_PAGES:
            raise _endless(f"{self._empty} pages in a row have no objects")


def _has(seen: set[int], item: Hashable) -> bool:
    """Whether the item was there before; it is from now on."""
    before = len(seen)
    seen.add(hash(item))
    return len(seen) == before


def _endless(why: str) -> UpstreamError:
    return UpstreamError(f"the listing comes to no end: {why}", code="NoListing")


def parameters(
    prefix: str, *, limit: int = MAX_KEYS, token: str | None = None, delimiter: str = "", after: str = ""
) -> dict[str, str]:
    """Query parameters of one call, for keys after `after`; with a delimiter, what lies below it is told by its
    directory only.

    Keys come back URL-encoded, since XML can't carry every key.
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
    """Reads a ListBucketResult; raises UpstreamError if it is none."""
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
                size=int(text(item, "Size")),
                etag=text(item, "ETag"),
                modified=datetime.fromisoformat(text(item, "LastModified")).timestamp(),
            )
            for item in root.iter(f"{namespace}Contents")
        ]
        folders = [key(item, "Prefix") for item in root.iter(f"{namespace}CommonPrefixes")]
        truncated = text(root, "IsTruncated").strip().lower()
        if truncated not in ("true", "false"):  # cut short by what stands between, it would say that nothing is there
            raise ValueError("it does not say whether it is truncated")
        token = text(root, "NextContinuationToken") if truncated == "true" else None
        if token == "":
            raise ValueError("it is truncated, but has no NextContinuationToken")
        return ListingPage(objects, folders, token)
    except (ElementTree.ParseError, ValueError, LookupError, OverflowError) as error:  # LookupError: its encoding
        raise UpstreamError(f"the listing can't be read: {error}", code="NoListing") from error


def outline(body: bytes) -> Outline:
    """Raises UpstreamError as `parse`, unless what is wrong is in the middle."""
    first, last, end = body.find(_OPEN), body.rfind(_OPEN), body.rfind(_CLOSE) + len(_CLOSE)
    known = 0 <= first <= last < end
    page = parse(body[:first] + body[last:] if known else body)
    last_key = page.objects[-1].key if page.objects else ""
    return Outline(page.next_token, last_key, body[first:end] if known else body)
