"""The pipeline, seen from outside: in front of a directory, and of a bucket that records what reaches it."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support import faults, oddstorage
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.http import RawAnswer, fetch


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    root = tmp_path / "packages"
    (root / "arrow").mkdir(parents=True)
    (root / "index.html").write_text("root")
    (root / "arrow" / "index.html").write_text("<a>")
    (root / "arrow" / "arrow-1.tar.gz").write_bytes(b"0123456789")
    (root / "bare").mkdir()
    (root / "bare" / "x.txt").write_text("x")
    return root


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("/", 200, b"root"),
        ("/arrow/", 200, b"<a>"),
        ("/arrow/index.html", 200, b"<a>"),
        ("/arrow/arrow-1.tar.gz", 200, b"0123456789"),
        ("/arrow/arrow-1%2Etar.gz?x=y", 200, b"0123456789"),
        ("http://anything/arrow/", 200, b"<a>"),
        ("/bare/", 404, None),
        ("/nope", 404, None),
        ("/nope/", 404, None),
        ("//arrow/", 404, None),
    ],
)
async def test_a_directory_is_its_index_and_a_file_is_itself(
    start_gateway: StartGateway, packages: Path, target: str, status: int, body: bytes | None
) -> None:
    gateway = await start_gateway({"storage.dir": str(packages)})
    for method in ("GET", "HEAD"):
        answer = await fetch(port_of(gateway.url), target, method=method)
        assert answer.status == status
        assert answer.body == (b"" if method == "HEAD" else body if body is not None else answer.body)
        if body is not None:
            assert int(answer.headers["content-length"]) == len(body)


@pytest.mark.parametrize(("target", "location"), [("/arrow", "./arrow/"), ("/bare?x=%20", "./bare/?x=%20")])
async def test_a_directory_without_its_slash_is_a_relative_redirect(
    start_gateway: StartGateway, packages: Path, target: str, location: str
) -> None:
    gateway = await start_gateway({"storage.dir": str(packages)})
    answer = await fetch(port_of(gateway.url), target)
    assert (answer.status, answer.headers["location"]) == (301, location)


async def test_the_object_that_is_named_like_the_directory_stands_in_for_an_index(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"s3pypi/": b"page", "marker/": b"", "marker/x.whl": b"x"}
    gateway = await start_gateway(faulty_settings)
    page = await fetch(port_of(gateway.url), "/s3pypi/")
    assert (page.status, page.body, page.headers["content-type"]) == (200, b"page", "text/html; charset=utf-8")
    # An empty page would make installers believe that the project is gone.
    assert (await fetch(port_of(gateway.url), "/marker/")).status == 404
    assert (await fetch(port_of(gateway.url), "/s3pypi")).headers["location"] == "./s3pypi/"


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("If-None-Match", "*", 304),
        ("If-Modified-Since", faults.DATE, 304),
        ("Range", "bytes=0-", 206),
        ("If-Match", '"x"', 412),
    ],
)
async def test_an_empty_marker_of_a_folder_is_no_page_to_a_conditional_request_either(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    name: str,
    value: str,
    status: int,
) -> None:
    faulty.objects = {"s3pypi/": b"page", "marker/": b"", "marker/x.whl": b"x"}
    port = port_of((await start_gateway(faulty_settings | {"cache.memory_bytes": "1MiB"})).url)
    for target, plain, conditional in (("/s3pypi/", 200, status), ("/marker/", 404, 404)):
        assert (await fetch(port, target)).status == plain
        assert (await fetch(port, target, headers={name: value})).status == conditional


@pytest.mark.parametrize(
    ("settings", "target", "key"),
    [
        ({}, "/a/b", "/teams-bucket/a/b"),
        ({}, "//a//b", "/teams-bucket//a//b"),
        ({"storage.prefix": "pypi"}, "/a", "/teams-bucket/pypi/a"),
        ({"rewrite.strip_prefix": "/simple"}, "/simple/a/", "/teams-bucket/a/index.html"),
        ({"rewrite.strip_prefix": "/simple"}, "/simple", "/teams-bucket/index.html"),
        ({"rewrite.strip_prefix": "/simple"}, "/simpler/a", "/teams-bucket/simpler/a"),
        ({"rewrite.add_prefix": "/v1"}, "/a", "/teams-bucket/v1/a"),
        ({"rewrite.strip_prefix": "/x", "rewrite.add_prefix": "/y"}, "/x/a", "/teams-bucket/y/a"),
        ({"server.base_path": "/pypi"}, "/pypi/a", "/teams-bucket/a"),
        ({"server.base_path": "/pypi", "rewrite.strip_prefix": "/simple"}, "/pypi/simple/a", "/teams-bucket/a"),
        ({"rewrite.index_document": "list.htm"}, "/a/", "/teams-bucket/a/list.htm"),
    ],
)
async def test_paths_become_keys_by_the_rewrite_rules(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    settings: dict[str, str],
    target: str,
    key: str,
) -> None:
    gateway = await start_gateway(faulty_settings | settings | {"index.mode": "off"})
    await fetch(port_of(gateway.url), target)
    assert faulty.requests[0].target == key


async def test_outside_the_base_path_there_is_nothing(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"server.base_path": "/pypi"})
    assert (await fetch(port_of(gateway.url), "/a")).status == 404
    assert (await fetch(port_of(gateway.url), "/health")).status == 200
    assert faulty.requests == []


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("target", ["/", "/arrow/", "/arrow/a.whl", "/health", "/ready", "/metrics", "/../x"])
async def test_nothing_but_get_and_head_gets_through(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    method: str,
    target: str,
) -> None:
    gateway = await start_gateway(faulty_settings)
    answer = await fetch(port_of(gateway.url), target, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    reason = answer.head.partition(b"\r\n")[0].removeprefix(b"HTTP/1.1 405 ")
    assert reason == (b"Read-only: upload with aws s3 cp" if method == "POST" else b"Method Not Allowed")
    assert faulty.requests == []


@pytest.mark.parametrize(
    "target", ["/../a", "/%2e%2e/a", "/a/..%2f..", "/%252e%252e/a", "/a%00", "/%ff", "/%zz", "/a%5c..%5cb", "/a/%2e/b"]
)
async def test_a_path_that_could_mislead_reaches_nothing(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], target: str
) -> None:
    gateway = await start_gateway(faulty_settings)
    assert (await fetch(port_of(gateway.url), target)).status == 400
    assert faulty.requests == []


async def test_only_allowed_headers_reach_the_bucket(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects["k"] = b"0123456789"
    gateway = await start_gateway(faulty_settings)
    given = {
        "Range": "bytes=0-1",
        "If-Match": "*",
        "Authorization": "Basic eDp5",
        "Cookie": "a=b",
        "X-Amz-Security-Token": "mine",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-For": "192.0.2.1",
        "Accept-Encoding": "gzip",
        "User-Agent": "pip",
        "Content-Type": "x/y",
        "Expect": "100-continue",
        "TE": "trailers",
    }
    await fetch(port_of(gateway.url), "/k?X-Amz-Signature=mine", headers=given)
    [request] = faulty.requests
    assert request.target == "/teams-bucket/k"
    assert set(request.headers) == {
        "host",
        "user-agent",
        "authorization",
        "x-amz-date",
        "x-amz-content-sha256",
        "range",
        "if-match",
    }
    assert request.headers["user-agent"] != "pip"
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDFAULTY/")


async def test_a_request_id_is_kept_if_it_is_sane(start_gateway: StartGateway, packages: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(packages)})

    async def id_for(given: str | None) -> str:
        headers = {} if given is None else {"X-Request-ID": given}
        return (await fetch(port_of(gateway.url), "/", headers=headers)).headers["x-request-id"]

    assert await id_for("trace-1:a/b+c=@x.y_z") == "trace-1:a/b+c=@x.y_z"
    for insane in (None, "a b", "x" * 129, "<script>", "ключ", ""):
        assert re.fullmatch(r"[0-9a-f]{16}", await id_for(insane))


async def test_an_error_is_short_text_or_json_for_who_asks(start_gateway: StartGateway, packages: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(packages)})
    text = await fetch(port_of(gateway.url), "/nope", headers={"X-Request-ID": "r1"})
    assert text.body == b"404 Not found\nrequest id: r1\n"
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.headers["cache-control"] == "no-store"
    accept = {"X-Request-ID": "r1", "Accept": "application/json"}
    report = json.loads((await fetch(port_of(gateway.url), "/nope", headers=accept)).body)
    assert report == {"status": 404, "error": "Not found", "request_id": "r1"}


async def test_an_error_is_a_page_for_browsers_with_a_way_back(start_gateway: StartGateway, packages: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(packages), "server.base_path": "/pypi"})
    for target, method, status in [("/pypi/nope/", "GET", 404), ("/pypi/%zz", "GET", 400), ("/pypi/", "POST", 405)]:
        page = await fetch(port_of(gateway.url), target, method=method, headers={"Accept": BROWSER})
        assert (page.status, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert (b'<a href="/pypi/">' in page.body) is (target != "/pypi/")
    head = await fetch(port_of(gateway.url), "/pypi/nope/", method="HEAD", headers={"Accept": BROWSER})
    assert (head.status, head.body) == (404, b"")


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
LEAKS = [
    b"<?xml",
    b"<Error",
    b"x-amz",
    faults.BUCKET.encode(),
    *[secret.encode().lower() for secret in faults.SECRETS],
    b"amazon",
]


@pytest.mark.parametrize("accept", ["*/*", "application/json", BROWSER])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_nothing_of_the_bucket_shows_in_any_answer(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], method: str, accept: str
) -> None:
    faulty.objects = {"k": b"0123456789", "d/index.html": b"page", "e/": b"page"}
    faulty.headers["k"] = [
        ("x-amz-meta-a", "b"),
        ("x-amz-version-id", "v"),
        ("Content-Type", "a/b"),
        ("Set-Cookie", "c"),
    ]
    gateway = await start_gateway(faulty_settings | {"storage.max_attempts": "1", "storage.read_timeout": "0.3"})
    codes = ["NoSuchKey", "AccessDenied", "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"]
    codes += ["SlowDown", "InternalError", "RequestTimeTooSkewed", "PermanentRedirect", "InvalidObjectState"]
    scripts: list[faults.Behaviour] = [
        error(status, code) for code in codes for status in (301, 400, 403, 404, 500, 503)
    ]
    scripts += [
        faults.wrong_region("eu-west-1"),
        faults.reset,
        faults.stall,
        error(500, "", body=b"<?xml garbage AKIDFAULTY"),
    ]
    answers: list[RawAnswer] = []
    headers = {"Accept": accept}
    for script in scripts:
        faulty.script = [script, script, script, script]
        answers.append(await fetch(port_of(gateway.url), "/k", method=method, headers=headers))
    faulty.script = []
    for target in ("/k", "/d", "/d/", "/e/", "/nope", "/nope/", "/../x", "/metrics", "/health"):
        for extra in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=99-"}, {"If-Match": '"x"'}):
            answers.append(await fetch(port_of(gateway.url), target, method=method, headers=headers | extra))
    for target in ("/k", "/d/"):
        answers.append(await fetch(port_of(gateway.url), target, method="PUT", headers=headers))
    statuses = {200, 301, 400, 404, 405, 412, 502, 503, 504} | ({206, 416} if method == "GET" else set())
    assert {answer.status for answer in answers} >= statuses
    for answer in answers:
        seen = (answer.head + answer.body).lower()
        assert [leak for leak in LEAKS if leak in seen] == []


@pytest.mark.parametrize(
    ("script", "status", "retry_after"),
    [
        (error(404, "NoSuchKey"), 404, None),
        (error(403, "AccessDenied"), 404, None),
        (error(404, "NoSuchBucket"), 502, None),
        (error(403, "InvalidAccessKeyId"), 502, None),
        (error(403, "SignatureDoesNotMatch"), 502, None),
        (error(400, "ExpiredToken"), 502, None),
        (error(503, "SlowDown"), 503, "2"),
        (error(500, "InternalError"), 503, "2"),
        (error(418, "", body=b"garbage"), 502, None),
        (faults.reset, 502, None),
        (faults.stall, 504, None),
    ],
)
async def test_upstream_errors_become_the_statuses_of_the_table(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    script: faults.Behaviour,
    status: int,
    retry_after: str | None,
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.max_attempts": "2", "storage.read_timeout": "0.3"})
    faulty.then(script, times=6)
    answer = await fetch(port_of(gateway.url), "/k/x")
    assert (answer.status, answer.headers.get("retry-after")) == (status, retry_after)


async def test_package_files_are_never_said_to_be_encoded(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"a-1.tar.gz": b"x", "index.html": b"x"}
    encoded = [("Content-Encoding", "gzip"), ("Content-Type", "a/b")]
    faulty.headers = {"a-1.tar.gz": encoded, "index.html": encoded}
    gateway = await start_gateway(faulty_settings)
    assert "content-encoding" not in (await fetch(port_of(gateway.url), "/a-1.tar.gz")).headers
    assert (await fetch(port_of(gateway.url), "/")).headers["content-encoding"] == "gzip"


async def test_a_bug_is_a_500_without_a_traceback(
    start_gateway: StartGateway, packages: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway({"storage.dir": str(packages)})
    gateway.storage.fetch = None  # type: ignore[assignment,method-assign]  # a bug, of any kind
    answer = await fetch(port_of(gateway.url), "/arrow/", headers={"X-Request-ID": "r1"})
    assert (answer.status, answer.body) == (500, b"500 Internal error\nrequest id: r1\n")
    assert "request r1 failed: this is a bug" in caplog.text
    assert "Traceback" in caplog.text


def counted(gateway: Gateway, status: int) -> int:
    """How many requests the metrics tell of with this status."""
    lines = gateway.metrics.render().decode().splitlines()
    ends = f'status="{status}"}}'
    found = [line for line in lines if line.startswith("gateway_requests_total{") and ends in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in found)


@pytest.mark.parametrize("case", ["header", "line", "exception"])
async def test_a_reply_that_can_t_be_sent_is_a_500_that_is_logged(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    gateway = await start_gateway({"storage.backend": oddstorage.BACKEND})
    for method in ("GET", "HEAD"):
        answer = await fetch(port_of(gateway.url), f"/{case}", method=method)
        assert answer.status == 500
        assert "set-cookie" not in answer.headers
        assert b"Traceback" not in answer.body
        assert answer.headers["x-request-id"] in caplog.text
    assert "this is a bug" in caplog.text
    await eventually(lambda: counted(gateway, 500) == 2)
    assert counted(gateway, 200) == 0


async def test_an_exception_amid_a_body_ends_the_connection(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway({"storage.backend": oddstorage.BACKEND})
    answer = await fetch(port_of(gateway.url), "/half")
    assert (answer.status, answer.body) == (200, b"half")
    assert "this is a bug" in caplog.text


async def test_any_location_is_sent_as_ascii(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"storage.backend": oddstorage.BACKEND})
    answer = await fetch(port_of(gateway.url), "/redirect")
    assert answer.status == 302
    assert answer.headers["location"] == "https://example.org/%D0%BA%D0%BB%D1%8E%D1%87/a%20b?q=%20%C3%A9#%C3%BC"


async def test_a_project_whose_name_is_not_ascii_is_redirected_to_its_page(
    start_gateway: StartGateway, packages: Path
) -> None:
    for name in ("Ключ", "A?#%"):
        (packages / name).mkdir()
        (packages / name / "index.html").write_text(name)
    gateway = await start_gateway({"storage.dir": str(packages), "index.mode": "generated"})
    for target, location in [
        ("/simple/%D0%9A%D0%BB%D1%8E%D1%87/?q=%D0%9A", "../%D0%BA%D0%BB%D1%8E%D1%87/?q=%D0%9A"),
        ("/simple/A%3F%23%25/", "../a%3F%23%25/"),
    ]:
        answer = await fetch(port_of(gateway.url), target)
        assert (answer.status, answer.headers["location"]) == (301, location)
    await eventually(lambda: counted(gateway, 301) == 2)


@pytest.mark.parametrize(("target", "key"), [("/app/conf.txt", "app/conf.txt"), ("/app/", "app/index.html")])
async def test_a_client_that_wants_the_storage_asked_is_never_given_a_hot_reply(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], target: str, key: str
) -> None:
    faulty.objects = {key: b"old"}
    cached = {"cache.memory_bytes": "1000000", "cache.index_ttl": "60", "cache.allow_bypass": "true"}
    gateway = await start_gateway({**faulty_settings, **cached})
    port = port_of(gateway.url)

    async def body(*headers: str) -> bytes:
        """Of a request on a connection that is kept, as those are that may get a hot reply."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write("\r\n".join([f"GET {target} HTTP/1.1", "Host: gateway", *headers, "", ""]).encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return await reader.readexactly(3)

    assert await body("Cache-Control: no-cache") == b"old"
    faulty.objects = {key: b"new"}
    assert await body("Cache-Control: no-cache") == b"new"
    faulty.objects = {key: b"end"}
    assert await body() == b"new"  # nobody else has the storage asked
    faulty.objects = {key: b"fin"}
    assert await body() == b"new"


async def test_a_range_is_for_get_only(start_gateway: StartGateway, packages: Path) -> None:
    """RFC 9110, 14.2: HEAD tells of the whole."""
    gateway = await start_gateway({"storage.dir": str(packages)})
    for value in ("bytes=2-3", "bytes=100-"):
        head = await fetch(port_of(gateway.url), "/arrow/arrow-1.tar.gz", method="HEAD", headers={"Range": value})
        assert (head.status, head.headers["content-length"]) == (200, "10")
        assert "content-range" not in head.headers


async def test_a_range_of_head_is_not_for_the_bucket_either(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects["k"] = b"0123456789"
    gateway = await start_gateway(faulty_settings | {"cache.memory_bytes": "1000000"})
    for _ in range(2):  # through it, and from memory
        head = await fetch(port_of(gateway.url), "/k", method="HEAD", headers={"Range": "bytes=2-3"})
        assert (head.status, head.headers["content-length"]) == (200, "10")
        assert (await fetch(port_of(gateway.url), "/k")).body == b"0123456789"


@pytest.mark.parametrize("memory", ["0", "1000000"])
async def test_without_last_modified_dates_don_t_count(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], memory: str
) -> None:
    undated = b'HTTP/1.1 200 OK\r\nETag: "a"\r\nContent-Length: 7\r\n\r\ncontent'
    faulty.then(faults.raw(undated), times=9)
    gateway = await start_gateway(faulty_settings | {"cache.memory_bytes": memory})
    later = "Fri, 24 May 2033 00:00:00 GMT"
    for headers in ({}, {"If-Modified-Since": later}, {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}):
        answer = await fetch(port_of(gateway.url), "/k", headers=headers)
        assert (answer.status, answer.body) == (200, b"content")


@pytest.mark.parametrize("code", ["XMinioInvalidObjectName", "KeyTooLongError"])
async def test_a_key_that_the_bucket_can_t_have_is_not_found(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], code: str
) -> None:
    async def picky(answer: faults.Answer) -> None:
        target = answer.request.target
        await (error(400, code) if "b.whl" in target or "%5C" in target else faults.healthy)(answer)

    gateway = await start_gateway(faulty_settings)
    faulty.then(picky, times=9)
    for target in ("/a/b.whl", "/a%5Cb/"):
        assert (target, (await fetch(port_of(gateway.url), target)).status) == (target, 404)
