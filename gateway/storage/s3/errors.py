"""Interprets S3's error answers: which remedy may help, and which error the client gets if none does.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from gateway.errors import (
    ACCESS_DENIED,
    GatewayError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    UpstreamBusyError,
    UpstreamError,
)

_XML_FIELD = re.compile(rb"<(Code|Region|Message|ActualObjectSize)>([^<]{1,1000})</\1>")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
_SIZE = re.compile(r"[0-9]{1,19}")
_REGION = re.compile(r"[a-z0-9-]{1,64}")

_BUSY = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException"}
    | {"RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequests", "OperationAborted"}
    | {"ConditionalRequestConflict"}
)
_STALE_CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "RequestExpired"}
    | {"InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
_WRONG_REGION = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed"}
    | {"IllegalLocationConstraintException"}
)
# The codes of S3, Ceph and MinIO for a key that can't exist. No object can lie below such a key either.
IMPOSSIBLE_KEY = frozenset(
    {"KeyTooLongError", "InvalidURI", "InvalidObjectName", "XMinioInvalidObjectName", "XMinioInvalidResourceName"}
)
# A bucket whose objects are locked for a time by themselves (Object Lock) takes none without a digest.
_WITHOUT_DIGEST, _DIGEST = frozenset({"InvalidRequest", "MissingContentMD5"}), "content-md5"
# S3 answers AccessDenied for an absent key if the credentials may not list the bucket.
_ABSENT = IMPOSSIBLE_KEY | {"NoSuchKey", ACCESS_DENIED}


class Remedy(Enum):
    """The step to take before sending the same request again."""

    NONE = auto()
    WAIT = auto()
    RENEW_CREDENTIALS = auto()
    LEARN_REGION = auto()
    SET_CLOCK = auto()
    ADD_DIGEST = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """An error answer of S3, or the error that prevented one (`broken`). `code` is empty if the answer had none."""

    status: int
    code: str = ""
    message: str = ""
    region: str | None = None
    date: str | None = None
    content_range: str | None = None
    broken: GatewayError | None = None

    @property
    def remedy(self) -> Remedy:
        if self.broken is not None:
            return Remedy.WAIT
        if self.code in _STALE_CREDENTIALS:
            return Remedy.RENEW_CREDENTIALS
        if self.code == "RequestTimeTooSkewed":
            return Remedy.SET_CLOCK
        if self.code in _WRONG_REGION or (self.status in (301, 307) and not self.code):
            return Remedy.LEARN_REGION
        if self.code in _WITHOUT_DIGEST and _DIGEST in self.message.lower():
            return Remedy.ADD_DIGEST
        if self.code in _BUSY or self.status == 429 or (self.status >= 500 and self.status != 501):
            return Remedy.WAIT
        return Remedy.NONE

    @property
    def label(self) -> str:
        """For logs and metrics: the code, or else the status or the kind of failure."""
        if self.broken is not None:
            return self.broken.code or "Timeout"
        return self.code or f"HTTP{self.status}"

    def error(self) -> GatewayError:
        """The answer for the client: absent, busy, or refused."""
        if self.broken is not None:
            return self.broken
        detail = f"{self.status} {self.label} {self.message}".rstrip()
        if self.status == 412:
            return PreconditionFailedError(detail, code=self.label, upstream_status=412)
        if self.status == 416:
            headers = {"Content-Range": self.content_range} if self.content_range else None
            return RangeNotSatisfiableError(detail, code=self.label, upstream_status=416, headers=headers)
        if self.code in _ABSENT or (self.status == 404 and not self.code):
            return NotFoundError(detail, code=self.label, upstream_status=self.status)
        if self.remedy is Remedy.WAIT:
            return UpstreamBusyError(detail, code=self.label, upstream_status=self.status)
        return UpstreamError(detail, code=self.label, upstream_status=self.status)


def parse(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Reads an error answer; `headers` has lower-case names. Never raises: garbage gives a Fault without a code."""
    fields = {name.decode(): value.decode("utf-8", "replace") for name, value in _XML_FIELD.findall(body)}
    code = fields.get("Code", "")
    region = headers.get("x-amz-bucket-region") or fields.get("Region", "")
    content_range = headers.get("content-range")
    if not content_range and _SIZE.fullmatch(size := fields.get("ActualObjectSize", "")):
        content_range = f"bytes */{size}"
    return Fault(
        status=status,
        code=code if _CODE.fullmatch(code) else "",
        message=fields.get("Message", ""),
        region=region if _REGION.fullmatch(region) else None,
        date=headers.get("date"),
        content_range=content_range,
    )
