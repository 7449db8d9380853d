"""ListMultipartUploads: builds the query and parses the answer.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from gateway.errors import UpstreamError
from gateway.storage.upkeep import UnfinishedUpload

NO_LISTING = "NoListing"
_MAX_UPLOADS = 1000


@dataclass(frozen=True, slots=True)
class Marker:
    """Where the next page begins: after the upload `id` of this key."""

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class UploadsPage:
    """One answer, with names of objects for keys; and where the next one begins, if there is any."""

    uploads: list[UnfinishedUpload]
    following: Marker | None


def parameters(prefix: str, after: Marker | None, *, encoded: bool) -> dict[str, str]:
    """The query parameters of one call. XML can't carry every key, so that some need to be URL-`encoded`; but SeaweedFS
    encodes a space in another way than AWS does, and leaves plus signs as they are, which AWS makes of spaces."""
    query = {"uploads": "", "max-uploads": str(_MAX_UPLOADS)}
    if encoded:
        query["encoding-type"] = "url"
    if prefix:
        query["prefix"] = prefix
    if after is not None:
        query |= {"key-marker": after.key, "upload-id-marker": after.id}
    return query


def parse(body: bytes) -> UploadsPage:
    """Reads a ListMultipartUploadsResult; raises UpstreamError if the body is not one."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  expat itself refuses entity bombs
        namespace = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
        if root.tag != f"{namespace}ListMultipartUploadsResult":
            raise ValueError(f"it is a {root.tag}")
        encoded = root.findtext(f"{namespace}EncodingType") == "url"

        def text(element: ElementTree.Element, name: str) -> str:
            return element.findtext(f"{namespace}{name}") or ""

        def key(element: ElementTree.Element, name: str) -> str:
            return unquote_plus(text(element, name), errors="strict") if encoded else text(element, name)

        uploads = [
            UnfinishedUpload(
                key(item, "Key"),
                text(item, "UploadId"),
                datetime.fromisoformat(text(item, "Initiated")).timestamp(),
            )
            for item in root.iter(f"{namespace}Upload")
        ]
        if text(root, "IsTruncated").strip().lower() != "true":
            return UploadsPage(uploads, None)
        last = uploads[-1] if uploads else None
        # SeaweedFS tells the id only.
        following = Marker(
            key(root, "NextKeyMarker") or (last.key if last is not None else ""), text(root, "NextUploadIdMarker")
        )
    except (ElementTree.ParseError, ValueError, LookupError, OverflowError) as error:
        raise UpstreamError(f"the listing of unfinished uploads can't be read: {error}", code=NO_LISTING) from error
    return UploadsPage(uploads, following)
