"""The gateway's errors: clients see the status and the public text, the log gets the detail."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

# S3's code for what the credentials may not do, and for an absent key if they may not list the bucket.
ACCESS_DENIED = "AccessDenied"
# That of a file which may be there: the system does not let the gateway look.
UNREADABLE = "Unreadable"


class GatewayError(Exception):
    """A failure that becomes a response.

    `public` is safe for any client: no bucket, key id, XML or upstream text. `detail` goes to the log only.
    `code` is the S3 error code that caused the failure, if there is one, and `upstream_status` the status that came
    with it. `reason` replaces the status's standard reason phrase, unless it is empty; clients that ask for JSON get
    `report` too. `fresh_for` is the number of seconds for which the same request would fail in the same way, and
    `pause` the number that its client waits for it.
    """

    status = 500
    public = "Internal error"
    reason = ""
    fresh_for = 0.0
    pause = 0.0
    report: Mapping[str, str | None] = MappingProxyType({})
    default_headers: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        detail: str = "",
        *,
        public: str | None = None,
        code: str | None = None,
        upstream_status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or public or self.public)
        self.detail = detail
        self.code = code
        self.upstream_status = upstream_status
        self.headers = {**self.default_headers, **(headers or {})}
        if public is not None:
            self.public = public


E = TypeVar("E", bound=BaseException)


def without_frames(error: E) -> E:
    """Removes the tracebacks of an error that is no bug, and of its causes, and returns it.

    Their frames refer to whoever keeps the error, such as a fill or a connection. That cycle would keep all that is in
    the frames, such as heads and bodies, until the garbage collector runs.
    """
    seen: BaseException | None = error
    while seen is not None and seen.__traceback__ is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__
    return error


class BadRequestError(GatewayError):
    """The client's request is malformed."""

    status = 400
    public = "Bad request"


class UnauthorizedError(GatewayError):
    """The request lacks the token that the route needs (RFC 6750, 3)."""

    status = 401
    public = "This route needs the header Authorization: Bearer …"
    default_headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class CredentialsRequiredError(GatewayError):
    """Nobody has logged in, and somebody who has may be permitted this (RFC 9110, 15.5.2)."""

    status = 401
    public = "Credentials are needed here: a user and a password, or a token"
    fresh_for = 1.0  # nothing has been looked up


class CredentialsRefusedError(CredentialsRequiredError):
    """The credentials are wrong, or no longer valid."""

    public = "These credentials are wrong, or no longer valid"
    fresh_for = 0.0


class ForbiddenError(GatewayError):
    """The principal may not do this, whether or not it exists (RFC 9110, 15.5.4)."""

    status = 403
    public = "You may not do this: ask whoever runs this gateway for the right"


class ProjectClosedError(ForbiddenError):
    """The status of the project forbids it (PEP 792): it takes no files, or offers none."""

    public = "The status of this project forbids it"

    def __init__(self, detail: str, *, public: str | None = None, reason: str = "") -> None:
        super().__init__(detail, public=public)
        self.reason = reason


class TooManyAttemptsError(GatewayError):
    """Wrong credentials came too often from the client's address (RFC 6585, 4)."""

    status = 429
    public = "Too many wrong credentials came from your address: try again later"
    pause = 5.0  # each connection can try that much less, and costs the others that much less

    def __init__(self, detail: str, *, wait: float = 1.0) -> None:
        """`wait` is in seconds."""
        super().__init__(detail, headers={"Retry-After": str(math.ceil(wait))})


class NotFoundError(GatewayError):
    """No such object, or none that these credentials may see."""

    status = 404
    public = "Not found"


class MethodNotAllowedError(GatewayError):
    """The route does not allow the request's method (RFC 9110, 15.5.6)."""

    status = 405
    public = "Method not allowed here"

    def __init__(self, method: str, allowed: str = "GET, HEAD") -> None:
        super().__init__(f"method {method}", headers={"Allow": allowed})


class ReadOnlyError(MethodNotAllowedError):
    """The client tried to upload. The reason phrase holds the advice, because twine shows nothing else."""

    public = reason = "Read-only: upload with aws s3 cp"


class UploadPathError(MethodNotAllowedError):
    """The client tried to upload where a page or a file is. Clients show the reason phrase."""

    public = reason = "Files are uploaded to /legacy/"


class NotAcceptableError(GatewayError):
    """The client accepts none of the page's formats (RFC 9110, 15.5.7)."""

    status = 406
    public = "Not acceptable: pages are text/html, application/vnd.pypi.simple.v1+html or +json"


class RequestTimeoutError(GatewayError):
    """The body of a request did not arrive in time (RFC 9110, 15.5.9)."""

    status = 408
    public = "The request took too long to arrive"


class LengthRequiredError(GatewayError):
    """The body of a request has no known length (RFC 9110, 15.5.12)."""

    status = 411
    public = "The request's body needs a Content-Length"


class PreconditionFailedError(GatewayError):
    """If-Match or If-Unmodified-Since did not hold (RFC 9110, 13.1)."""

    status = 412
    public = "Precondition failed"


class ContentTooLargeError(GatewayError):
    """The body of a request is longer than what is taken here (RFC 9110, 15.5.14)."""

    status = 413
    public = "The request's body is too long"


class FileExistsConflictError(GatewayError):
    """The index has a file of that name, with other bytes. Clients know the case by the status, or by these words."""

    status = 409

    public = "File already exists, with other content"

    def __init__(self, detail: str = "", *, filename: str = "") -> None:
        public = f"{self.public}: {filename}" if filename else None
        super().__init__(detail or f"{filename!r} exists", public=public)


class ConditionIgnoredError(GatewayError):
    """The storage would let an upload replace a file of the same name. Waiting does not help, so there is no
    Retry-After; and 409 would mean to clients that the file exists."""

    status = 503
    public = reason = "Uploads are refused: the storage would let them replace files (publish.unsafe)"


class UriTooLongError(GatewayError):
    """The request target is over `server.max_target_bytes`."""

    status = 414
    public = "Request target too long"


class RangeNotSatisfiableError(GatewayError):
    """The range lies past the end of the object (RFC 9110, 15.5.17)."""

    status = 416
    public = "Range not satisfiable"


class HeadersTooLargeError(GatewayError):
    """One header, or all of them together, are over `server.max_header_bytes` (RFC 6585, 5)."""

    status = 431
    public = "Request header fields too large"


class UpstreamError(GatewayError):
    """The bucket can't be reached, refuses our signature, or gives an invalid answer."""

    status = 502
    public = "The storage behind this gateway refused the request or failed"


class UpstreamBusyError(GatewayError):
    """The bucket asks for fewer requests, or fails temporarily."""

    status = 503
    public = "The storage behind this gateway is busy; try again"
    default_headers = MappingProxyType({"Retry-After": "2"})


class AuthenticationBusyError(UpstreamBusyError):
    """What may know the credentials can't be asked now. `refused`: others did not know them."""

    public = "The gateway can't check credentials now: try again"

    def __init__(self, detail: str, *, refused: bool = False) -> None:
        super().__init__(detail)
        self.refused = refused


class UpstreamUnavailableError(UpstreamBusyError):
    """The request was not sent, because the server is known to be down or all connections to it are in use. Callers
    must not retry before `wait` seconds have passed."""

    wait = 0.0


class UpstreamTimeoutError(GatewayError):
    """The bucket did not answer in time."""

    status = 504
    public = "The storage behind this gateway did not answer in time"


class UpstreamPageError(GatewayError):
    """The other index answered with something that is not a project page."""

    status = 502
    public = "The index behind this gateway answers with a page that can't be read"


class CredentialsError(UpstreamError):
    """There are no usable credentials; `detail` says what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration: which key, where it was set, what is wrong and what to do."""

    key: str
    source: str
    message: str

    def __str__(self) -> str:
        return f"{self.key} ({self.source}): {self.message}"


class ConfigError(Exception):
    """The configuration can't be used; every mistake is in `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
