"""The values that the stages of a request hand to each other."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

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

    `host` is the Host header (with the port unless it is the scheme's default); `base_path` is what goes before
    the key's slash: `` for a virtual-hosted bucket, `/bucket` for path style.
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
    """Who asks: address as text, and User-Agent."""

    address: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class ObjectRequest:
    """What is wanted of the storage: `key` is decoded text; `headers` holds allow-listed names in lower case.

    The answer may be a redirect only where `redirect_for` says whom it would be for. `bypass` asks for what the storage
    has now, whatever is cached.
    """

    method: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    redirect_for: Caller | None = None
    bypass: bool = False


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What is wanted of the index: `key` is empty or ends in a slash; `wanted` are the headers that the storage may
    see. `base_url` is the address of the gateway's root as the client knows it, with a slash, or empty; `bypass` is as
    an ObjectRequest's."""

    method: str
    key: str
    query: str = ""
    accept: str = ""
    accept_encoding: str = ""
    wanted: Mapping[str, str] = field(default_factory=dict)
    base_url: str = ""
    bypass: bool = False


def nothing_to_close() -> None:
    """The `close` of a Stream that holds nothing which must be given back."""


def always() -> bool:
    """The `may_resume` of a Stream whose storage bears any number of requests."""
    return True


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes `start` to `stop` (exclusive) of an open file, which stays open while its Stream is."""

    descriptor: int
    start: int
    stop: int


@dataclass(slots=True)
class Stream:
    """An object, or the answer about it (200, 206, 304). `headers` are already allow-listed.

    `body` yields the bytes in order, or is None where there are none (HEAD, 304). It is read to its end or
    `close` is called; `close` may be called at any time, more than once, and never raises. `content` are the same
    bytes, where they are few and here already; `parts` are the same bytes too, for who can have the kernel send parts
    of files, and is read in place of `body`. `fresh_for` is as a Page's; `sha256`, in hex, is the whole object's, where
    the storage was told it; `cache` says where else than from the storage it is (memory, disk, shared), for the log.
    `may_resume` says whether the storage may be asked once more for the rest of a body that has broken off.
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
    """Go there instead. `fresh_for` is as a BufferedResponse's."""

    location: str
    status: int = 301
    headers: dict[str, str] = field(default_factory=dict)
    fresh_for: float = 0.0


@dataclass(frozen=True, slots=True)
class BufferedResponse:
    """A body that the gateway made itself. `upstream_status` and `code` are for the access log; `fresh_for` is how long
    the same answer may be given to the same request without a look, in seconds; `reason` is the reason phrase, where it
    is not the status's own."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    upstream_status: int | None = None
    code: str | None = None
    fresh_for: float = 0.0
    reason: str = ""


# The status of a request whose client left before there was an answer (nginx's number; never sent).
CLIENT_GONE = 499

Answer: TypeAlias = Stream | Redirect | BufferedResponse


@dataclass(slots=True)
class RequestRecord:
    """What one request leaves behind for the log and the metrics. Times are of a monotonic clock, in seconds."""

    request_id: str
    method: str
    target: str
    client: str
    agent: str
    started: float
    route: str = "object"
    status: int = CLIENT_GONE
    sent_bytes: int = 0
    first_byte: float | None = None
    upstream_status: int | None = None
    code: str | None = None
    error: str = ""
    cache: str = ""
    key: str = ""
    effort: UpstreamUsage | None = None
    peer: str = ""
    forwarded_for: tuple[str, ...] = ()
