"""A bucket that can be told to misbehave: plain sockets, so that it can break HTTP itself."""

import asyncio
import hashlib
import hmac
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

BUCKET = "teams-bucket"
DATE = formatdate(1_700_000_000, usegmt=True)
SECRETS = ["AKIDFAULTY", "the-secret-of-faulty", "aws-session-token"]


@dataclass
class Request:
    """What came in, as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    connection: int
    body: bytes = b""
    sent: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def key(self) -> str:
        return unquote(self.path.removeprefix(f"/{BUCKET}").removeprefix("/"))


class Answer:
    """The connection that a behaviour answers on."""

    def __init__(self, bucket: "FaultyBucket", request: Request, writer: asyncio.StreamWriter) -> None:
        self.bucket = bucket
        self.request = request
        self.writer = writer

    async def send(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        named = {name.lower() for name, _ in headers}
        lines = [f"HTTP/1.1 {status} Some Reason", *(f"{name}: {value}" for name, value in headers)]
        lines += ["x-amz-request-id: 4442587FB7D0A2F9", "x-amz-id-2: host-id-of-the-bucket", "Server: AmazonS3"]
        if not named & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        if "date" not in named:
            lines.append(f"Date: {formatdate(usegmt=True)}")
        await self.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        if self.request.method != "HEAD" and body:
            await self.write(body)

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), 65536):
            chunk = data[start : start + 65536]
            self.writer.write(chunk)
            await self.writer.drain()
            self.request.sent += len(chunk)

    def reset(self) -> None:
        """Ends the connection with RST, as a crashed host does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER: zero seconds
        self.writer.transport.abort()


Behaviour = Callable[[Answer], Awaitable[None]]


class FaultyBucket:
    """Objects by key; the requests seen; and a script of behaviours, each taken by one request, in order."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.headers: dict[str, list[tuple[str, str]]] = {}
        self.modified: dict[str, str] = {}  # as listings have it
        self.date = DATE  # the Last-Modified of all objects
        self.requests: list[Request] = []
        self.script: list[Behaviour] = []
        self.of_key: dict[str, Behaviour] = {}  # always, without the script
        self.heeds_conditions = True  # of writes
        self.heeds_conditions_of_copies = True
        self.parts: dict[str, dict[int, bytes]] = {}  # by the id of the upload, and by number
        self.secrets: dict[tuple[str, str | None], str] | None = None
        self.region = "us-east-1"
        self.open_connections = 0
        self.port = 0
        self._connections = 0
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def then(self, *behaviours: Behaviour, times: int = 1) -> None:
        self.script += list(behaviours) * times

    def accept(self, access_key: str, secret: str, token: str | None = None) -> None:
        """From now on signatures are checked, and only those of accepted credentials pass."""
        self.secrets = {**(self.secrets or {}), (access_key, token): secret}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition` holds; it is looked at after everything that happens here."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultyBucket"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        self.open_connections += 1
        number = self._connections
        try:
            while (request := await self._read(reader, number)) is not None:
                self.requests.append(request)
                await self._notify()
                answer = Answer(self, request, writer)
                behaviour = self.of_key.get(request.key)
                if behaviour is None:
                    behaviour = self.script.pop(0) if self.script else healthy
                # Whether the other side is gone shows in the reader, while the behaviour may be waiting.
                answering = asyncio.ensure_future(behaviour(answer))
                gone = asyncio.ensure_future(reader.read(1))
                gone.add_done_callback(lambda task: task.cancelled() or task.exception())
                await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
                if gone.done() and not answering.done():
                    answering.cancel()
                    await asyncio.gather(answering, return_exceptions=True)
                    return
                await answering
                request.done.set()
                await self._notify()
                if writer.is_closing():
                    gone.cancel()
                    return
                first = await gone
                if not first:
                    return
                reader._buffer[:0] = first  # type: ignore[attr-defined]  # put it back
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()
            self._tasks.discard(task)
            await self._notify()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Request | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = dict(_header(line) for line in lines)
        if method == "CONNECT":
            return Request(method, target, headers, number)
        try:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        except asyncio.IncompleteReadError:
            return None
        return Request(method, target, headers, number, body)

    def refuses(self, request: Request) -> bool:
        """Whether the request's condition does not hold, if the bucket heeds such conditions."""
        there = self.objects.get(request.key)
        if there is None or not self.heeds_conditions:
            return False
        return request.headers.get("if-match", etag_of(there)) != etag_of(there) or "if-none-match" in request.headers

    def refusal(self, request: Request) -> Behaviour | None:
        """What is wrong with the request's signature, if signatures are checked."""
        if self.secrets is None:
            return None
        fields = request.headers.get("authorization", "").partition(" ")[2].split(",")
        parts = dict(part.strip().split("=", 1) for part in fields if "=" in part)
        access_key, date, region, service, _ = (parts.get("Credential", "") + "////").split("/")[:5]
        token = request.headers.get("x-amz-security-token")
        secret = self.secrets.get((access_key, token))
        if secret is None:
            return error(403, "InvalidAccessKeyId") if token is None else error(400, "ExpiredToken")
        if region != self.region:
            return wrong_region(self.region)
        path, _, query = request.target.partition("?")
        names = parts["SignedHeaders"].split(";")
        lines = "".join(f"{name}:{request.headers[name]}\n" for name in names)
        payload = request.headers["x-amz-content-sha256"]
        canonical = f"{request.method}\n{path}\n{query}\n{lines}\n{parts['SignedHeaders']}\n{payload}"
        scope = f"{date}/{region}/{service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{digest}"
        key = b"AWS4" + secret.encode()
        for part in (date, region, service, "aws4_request", to_sign):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return None if key.hex() == parts["Signature"] else error(403, "SignatureDoesNotMatch")


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


@lru_cache(maxsize=16)  # objects are large, and asked for often
def etag_of(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


async def healthy(answer: Answer) -> None:
    """What S3 does."""
    request, bucket = answer.request, answer.bucket
    if (refusal := bucket.refusal(request)) is not None:
        return await refusal(answer)
    if request.method == "POST" or "uploadId=" in request.target:
        from tests.support.multipart import multipart

        return await multipart(answer)
    if request.method == "PUT":
        if "if-match" in request.headers and request.key not in bucket.objects:
            return await error(404, "NoSuchKey")(answer)
        copied = unquote(request.headers.get("x-amz-copy-source", "")).removeprefix(f"/{BUCKET}/")
        if copied and not bucket.heeds_conditions_of_copies:
            request.headers.pop("if-none-match", None)
        if bucket.refuses(request):
            return await error(412, "PreconditionFailed")(answer)
        if copied:
            return await _copy(answer, copied)
        bucket.objects[request.key] = request.body
        if said := [(name, value) for name, value in request.headers.items() if name.startswith("x-amz-meta-")]:
            bucket.headers[request.key] = [("Content-Type", request.headers["content-type"]), *said]
        return await answer.send(200, [("ETag", etag_of(request.body))])
    if request.method == "DELETE":
        bucket.objects.pop(request.key, None)
        return await answer.send(204)
    if "list-type" in parse_qs(request.target.partition("?")[2]):
        return await _list(answer)
    body = bucket.objects.get(request.key)
    if body is None:
        return await error(404, "NoSuchKey")(answer)
    etag = etag_of(body)
    headers = [
        ("ETag", etag),
        ("Last-Modified", bucket.date),
        ("Accept-Ranges", "bytes"),
        ("x-amz-storage-class", "STANDARD"),
    ]
    headers += bucket.headers.get(request.key, [("Content-Type", "binary/octet-stream")])
    if request.headers.get("if-none-match") == etag:
        return await answer.send(304, headers)
    if request.headers.get("if-match", etag) != etag:
        return await error(412, "PreconditionFailed")(answer)
    if wanted := request.headers.get("range"):
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(body) - int(last), 0)
        stop = min(int(last) + 1, len(body)) if first and last else len(body)
        if start >= len(body):
            return await error(416, "InvalidRange", extra=f"<ActualObjectSize>{len(body)}</ActualObjectSize>")(answer)
        headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}"))
        return await answer.send(206, headers, body[start:stop])
    headers.append(("Content-Length", str(len(body))))
    return await answer.send(200, headers, body)


async def _copy(answer: Answer, source: str) -> None:
    request, bucket = answer.request, answer.bucket
    bucket.objects[request.key] = bucket.objects[source]
    said = [(name, value) for name, value in request.headers.items() if name.startswith("x-amz-meta-")]
    bucket.headers[request.key] = [("Content-Type", request.headers["content-type"]), *said]
    xml = f"<CopyObjectResult><ETag>{etag_of(bucket.objects[source])}</ETag></CopyObjectResult>"
    await answer.send(200, [("Content-Type", "application/xml")], xml.encode())


async def _list(answer: Answer) -> None:
    query = {name: values[0] for name, values in parse_qs(answer.request.target.partition("?")[2]).items()}
    after = query.get("continuation-token", query.get("start-after", ""))
    limit = int(query.get("max-keys", "1000"))
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    keys = sorted(key for key in answer.bucket.objects if key.startswith(prefix) and key > after)
    folders = set()
    if delimiter:
        folders = {prefix + key[len(prefix) :].partition("/")[0] + "/" for key in keys if "/" in key[len(prefix) :]}
        keys = [key for key in keys if "/" not in key[len(prefix) :]]
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key>"
        f"<LastModified>{answer.bucket.modified.get(key, '2023-11-14T22:13:20.000Z')}</LastModified>"
        f"<ETag>&quot;{hashlib.md5(answer.bucket.objects[key]).hexdigest()}&quot;</ETag><Size>{len(answer.bucket.objects[key])}</Size></Contents>"
        for key in keys[:limit]
    ) + "".join(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders))
    more = f"<NextContinuationToken>{keys[limit - 1]}</NextContinuationToken>" if len(keys) > limit else ""
    body = (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{BUCKET}</Name><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}{contents}</ListBucketResult>"
    )
    await answer.send(200, [("Content-Type", "application/xml")], body.encode())


def error(
    status: int, code: str, *, headers: Iterable[tuple[str, str]] = (), extra: str = "", body: bytes | None = None
) -> Behaviour:
    """S3's XML, or whatever `body` says instead."""
    xml = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>About {code}.</Message>'
        f"<BucketName>{BUCKET}</BucketName><AWSAccessKeyId>{SECRETS[0]}</AWSAccessKeyId>{extra}</Error>"
    ).encode()

    async def behave(answer: Answer) -> None:
        await answer.send(status, [("Content-Type", "application/xml"), *headers], xml if body is None else body)

    return behave


def wrong_region(region: str, *, status: int = 400) -> Behaviour:
    code = "AuthorizationHeaderMalformed" if status == 400 else "PermanentRedirect"
    return error(status, code, headers=[("x-amz-bucket-region", region)], extra=f"<Region>{region}</Region>")


def on(method: str, behaviour: Behaviour) -> Behaviour:
    """The behaviour, for the next request with this method."""

    async def behave(answer: Answer) -> None:
        if answer.request.method == method:
            await behaviour(answer)
        else:
            answer.bucket.script.insert(0, behave)
            await healthy(answer)

    return behave


def on_first(behaviour: Behaviour, others: Behaviour) -> Behaviour:
    """The first request is answered otherwise."""
    left = [behaviour]

    async def behave(answer: Answer) -> None:
        await (left.pop() if left else others)(answer)

    return behave


async def reset(answer: Answer) -> None:
    """No answer at all."""
    answer.reset()


async def close(answer: Answer) -> None:
    """A clean end without an answer, as of a connection that was idle for too long."""
    answer.writer.close()


def reset_in_body(after: int, *, length: int) -> Behaviour:
    """Promises `length` bytes, sends `after` of them, and is gone."""

    async def behave(answer: Answer) -> None:
        await answer.send(200, [("Content-Length", str(length)), ("ETag", '"e"')], b"x" * after)
        answer.reset()

    return behave


async def stall(answer: Answer) -> None:
    """Never answers."""
    await asyncio.Event().wait()


def stall_in_body(after: int, *, length: int) -> Behaviour:
    async def behave(answer: Answer) -> None:
        await answer.send(200, [("Content-Length", str(length)), ("ETag", '"e"')], b"x" * after)
        await asyncio.Event().wait()

    return behave


def endless(length: int) -> Behaviour:
    """A large object, made as it is sent: the test sees in `Request.sent` how much was taken."""

    async def behave(answer: Answer) -> None:
        await answer.send(200, [("Content-Length", str(length)), ("ETag", '"e"')])
        chunk = b"x" * 65536
        left = length
        while left:
            await answer.write(chunk[:left])
            left -= min(left, len(chunk))

    return behave


def raw(data: bytes) -> Behaviour:
    """These bytes, then the end of the connection."""

    async def behave(answer: Answer) -> None:
        await answer.write(data)
        answer.writer.close()

    return behave


def serving(body: bytes, headers: Iterable[tuple[str, str]], status: int = 200) -> Behaviour:
    """An answer with just these headers."""

    async def behave(answer: Answer) -> None:
        await answer.send(status, headers, body)

    return behave
