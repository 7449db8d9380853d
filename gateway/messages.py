"""The values that the stages of a request hand to each other."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from multidict import MultiMapping

from gateway.principal import ANONYMOUS, EVERYBODY, Admission, Principal
from gateway.tracing.span import NOTHING, Span
from gateway.usage import UpstreamUsage


@dataclass(frozen=True, slots=True)
class Credentials:
    """AWS credentials at one moment. `expires_at` is in seconds since the epoch; None never expires."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    provider: str = "static"
    expires_at: float | None = None

    @property
    def masked(self) -> str:
        """Enough of the access key id to recognise it."""
        return f"{self.access_key[:4]}…{self.access_key[-4:]}" if len(self.access_key) >= 16 else "…"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a bucket is, as botocore's rules resolve it.

    `host` is the Host header (with the port unless it is the scheme's default). `base_path` stands before the key's
    slash: it is empty for a virtual-hosted bucket, and `/bucket` for path style.
    """

    scheme: str
    host: str
    base_path: str
    region: str
    service: str = "s3"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"


@dataclass(frozen=True, slots=True)
class Caller:
    """The client: its address as text, and its User-Agent."""

    address: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class ObjectRequest:
    """A request to the storage: `key` is decoded text; `headers` holds allow-listed names in lower case.

    The answer may be a redirect only if `redirect_for` names the client. With `bypass`, caches are not used without
    asking the storage first; they are if it can't be asked. With `uncached`, they never are: what the object says must
    be known now. What caches learnt up to `not_before`, on the monotonic clock, is like with `bypass`. `fallback` tells
    whether the object may come from the other index. With `must_exist`, a redirect leads only to an object that exists,
    whatever the settings: something else is served in place of others. `version` is the id of one version; empty for
    the current one. No cache keeps others.
    """

    method: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    redirect_for: Caller | None = None
    bypass: bool = False
    fallback: bool = True
    must_exist: bool = False
    uncached: bool = False
    not_before: float = float("-inf")
    version: str = ""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request to the index: `key` is empty or ends in a slash, or it is that of a document of PyPI's JSON API;
    `wanted` holds the headers that the storage may see. `base_url` is the URL of the gateway's root as the client knows
    it, with a trailing slash, or empty. `bypass` and `fallback` mean the same as in an ObjectRequest. The root's page
    shows what the principal may read. With `actions`, pages for people offer to change what the principal may
    change."""

    method: str
    key: str
    query: str = ""
    accept: str = ""
    accept_encoding: str = ""
    wanted: Mapping[str, str] = field(default_factory=dict)
    base_url: str = ""
    bypass: bool = False
    fallback: bool = True
    principal: Principal = ANONYMOUS
    actions: bool = True


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """A request to a web site. `path` is what clients ask for, decoded, below the site's root, with a slash in front;
    `key` is what it means to the storage. `headers` are the client's, and `wanted` those that the storage may see.
    `bypass` means the same as in an ObjectRequest."""

    method: str
    key: str
    path: str
    query: str
    headers: MultiMapping[str]
    wanted: Mapping[str, str]
    caller: Caller
    bypass: bool = False
    principal: Principal = ANONYMOUS


def nothing_to_close() -> None:
    """The `close` of a Stream that holds no resources."""


def always() -> bool:
    """The `may_resume` of a Stream whose storage may be asked at any time."""
    return True


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes `start` to `stop` (exclusive) of a file that stays open as long as its Stream."""

    descriptor: int
    start: int
    stop: int


@dataclass(slots=True)
class Stream:
    """An object, or the answer about it (200, 206, 304). `headers` are already allow-listed.

    `body` yields the bytes in order, or is None if there are none (HEAD, 304). The reader reads it to its end or calls
    `close`, which may be called at any time, more than once, and never raises. `content` holds the same bytes if they
    are few and already in memory. `parts` yields them too, in part as pieces of files that the kernel can send; a
    reader that can use it reads it in place of `body`. `fresh_for` means the same as in a BufferedResponse. `sha256` is
    the hex digest of the whole object, if the storage knows it. `cache` tells the log that the bytes did not come from
    the storage but from memory, disk or a shared fill. `may_resume` says whether the storage may be asked once more for
    the rest of a body that has broken off.
    """

    status: int
    headers: dict[str, str]
    body: AsyncIterator[bytes] | None
    close: Callable[[], None]
    upstream_status: int | None = None
    content: bytes | None = None
    fresh_for: float = 0.0
    parts: AsyncIterator[bytes | FilePart] | None = None
    sha256: str | None = None
    cache: str = ""
    may_resume: Callable[[], bool] = always


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client to `location`. `fresh_for` and `cookies` mean the same as in a BufferedResponse."""

    location: str
    status: int = 301
    headers: dict[str, str] = field(default_factory=dict)
    fresh_for: float = 0.0
    cookies: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class BufferedResponse:
    """A response whose body is in memory. `upstream_status` and `code` are for the access log. An identical request may
    get the same response for `fresh_for` seconds. `reason` replaces the status's standard reason phrase, unless it is
    empty. `cookies` are the values of its headers Set-Cookie; an answer that has any is not given again."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    upstream_status: int | None = None
    code: str | None = None
    fresh_for: float = 0.0
    reason: str = ""
    cookies: tuple[str, ...] = field(default=(), repr=False)


# Logged for a request whose client disconnected before the answer (nginx's number; never sent).
CLIENT_GONE = 499

Answer: TypeAlias = Stream | Redirect | BufferedResponse


@dataclass(slots=True)
class RequestRecord:
    """What the log and the metrics record about one request. Times are of a monotonic clock, in seconds. `fetched`
    tells what the storage was asked for: an object that no cache had (`miss`), or whether a copy is the newest
    (`revalidated`)."""

    request_id: str
    method: str
    target: str
    client: str
    agent: str
    started: float
    mount: str = ""
    route: str = "object"
    status: int = CLIENT_GONE
    sent_bytes: int = 0
    first_byte: float | None = None
    upstream_status: int | None = None
    code: str | None = None
    error: str = ""
    cache: str = ""
    fetched: str = ""
    key: str = ""
    usage: UpstreamUsage | None = None
    peer: str = ""
    forwarded_for: tuple[str, ...] = ()
    admission: Admission = EVERYBODY
    span: Span = NOTHING
    entered: bool = False  # it counts as one of those in flight at its mount
    as_json: bool = False  # what fails is told as JSON, whatever the client accepts
