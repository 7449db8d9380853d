"""ListObjectsV2: its query and its answer.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from gateway.errors import UpstreamError
from gateway.storage.base import StoredObject

MAX_KEYS = 1000


@dataclass(frozen=True, slots=True)
class ListingPage:
    """One answer: objects, and with a delimiter directories, in key order; and the token that fetches the next page,
    if there is one."""

    objects: list[StoredObject]
    folders: list[str]
    next_token: str | None


def parameters(prefix: str, *, limit: int = MAX_KEYS, token: str | None = None, delimiter: str = "") -> dict[str, str]:
    """Query parameters of one call; with a delimiter, what lies below it is told by its directory only.

    Keys come back URL-encoded, since XML can't carry every key.
    """
    query = {"list-type": "2", "encoding-type": "url", "max-keys": str(min(limit, MAX_KEYS))}
    if prefix:
        query["prefix"] = prefix
    if delimiter:
        query["delimiter"] = delimiter
    if token:
        query["continuation-token"] = token
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
        token = text(root, "NextContinuationToken") if text(root, "IsTruncated") == "true" else None
        if token == "":
            raise ValueError("it is truncated, but has no NextContinuationToken")
        return ListingPage(objects, folders, token)
    except (ElementTree.ParseError, ValueError, LookupError, OverflowError) as error:  # LookupError: its encoding
        raise UpstreamError(f"the listing can't be read: {error}") from error
