"""Uploads through a gateway, to a bucket and to a directory."""

import asyncio
import json
import random
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import ConfigError
from gateway.publish import uploads
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.faults import Answer, Behaviour, FaultyBucket, error, healthy, on, reset, stall_in_body
from tests.support.process import gateway_environment
from tests.support.uploads import FORM, fields, form, sdist, upload, wheel

OPEN = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
GUARDED = {
    "publish.enabled": "true",
    "access.authenticators": "tests.support.people:People",
    "access.default_read": "everyone",
    "access.rules": '[{projects: "acme-*", write: [group:release]}]',
}
FILE, CONTENT = wheel("acme_web", "1.0")
KEY = f"acme-web/{FILE}"


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    return await start_gateway(faulty_settings | OPEN)


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.request("GET", url) as answer:
        return answer.status, await answer.text()


def basic(user: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:pw-{user}".encode()).decode()}


@pytest.mark.parametrize("path", ["/", "/simple", "/simple/", "/legacy", "/legacy/", "/pypi", "/pypi/", "/?x=1"])
async def test_a_file_is_there_at_once_with_what_is_known_of_it(
    gateway: Gateway, faulty: FaultyBucket, path: str
) -> None:
    assert (await get(f"{gateway.url}/simple/acme-web/"))[0] == 404
    assert (await upload(gateway.url + path, FILE, CONTENT, {"requires_python": ""}))[0] == 200
    assert faulty.objects == {KEY: CONTENT}
    status, page = await get(f"{gateway.url}/simple/acme-web/")
    digest = fields(FILE, CONTENT)["sha256_digest"]
    assert status == 200
    assert f"{FILE}#sha256={digest}" in page
    assert 'href="acme-web/"' in (await get(f"{gateway.url}/simple/"))[1]
    put = next(request for request in faulty.requests if request.method == "PUT" and request.key == KEY)
    assert put.headers["if-none-match"] == "*"
    assert put.headers["x-amz-meta-sha256"] == digest
    assert "x-amz-meta-upload-time" in put.headers


async def test_the_same_bytes_again_are_no_error_and_nothing_is_written(gateway: Gateway, faulty: FaultyBucket) -> None:
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    writes = sum(request.method == "PUT" for request in faulty.requests)
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert sum(request.method == "PUT" for request in faulty.requests) == writes


async def test_other_bytes_of_that_name_are_a_conflict_in_words_that_clients_know(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    await upload(gateway.url, FILE, CONTENT)
    _, other = wheel("acme_web", "1.0", summary="another")
    status, reason, body = await upload(gateway.url, FILE, other)
    assert status == 409
    assert reason.startswith("File already exists")
    assert body.startswith("409 File already exists")
    _, _, report = await upload(gateway.url, FILE, other, headers={"Accept": "application/json"})
    assert json.loads(report)["code"].startswith("409 File already exists")
    assert faulty.objects == {KEY: CONTENT}


def written_by_another(content: bytes, then: Behaviour) -> Behaviour:
    """Another client's write is there when ours arrives."""

    async def behave(answer: Answer) -> None:
        answer.bucket.objects[KEY] = content
        await then(answer)

    return on("PUT", behave)


@pytest.mark.parametrize(("theirs", "status"), [(CONTENT, 200), (b"other", 409)])
async def test_who_loses_a_race_is_told_whose_bytes_are_there(
    gateway: Gateway, faulty: FaultyBucket, theirs: bytes, status: int
) -> None:
    faulty.then(written_by_another(theirs, error(412, "PreconditionFailed")))
    assert (await upload(gateway.url, FILE, CONTENT))[0] == status
    assert faulty.objects == {KEY: theirs}


@pytest.mark.parametrize(("theirs", "status"), [(CONTENT, 200), (b"other", 409)])
async def test_a_write_whose_answer_is_lost_has_happened_or_met_another(
    gateway: Gateway, faulty: FaultyBucket, theirs: bytes, status: int
) -> None:
    faulty.then(written_by_another(theirs, reset))
    assert (await upload(gateway.url, FILE, CONTENT))[0] == status


async def test_of_many_large_files_one_wins(gateway: Gateway, faulty: FaultyBucket) -> None:
    """A server that heeds the condition where parts become an object, as AWS documents it."""
    _, small = wheel("acme_web", "1.0")
    contents = []
    for seed in range(2):
        buffer = BytesIO(small)
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr("data.bin", random.Random(seed).randbytes(9_000_000))
        contents.append(buffer.getvalue())
    answers = await asyncio.gather(*(upload(gateway.url, FILE, contents[number % 2]) for number in range(4)))
    winner = contents.index(faulty.objects[KEY])
    assert [status for status, _, _ in answers] == [200 if number % 2 == winner else 409 for number in range(4)]
    assert not any(faulty.parts.values())


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
async def test_a_write_that_meets_another_one_is_tried_again(gateway: Gateway, faulty: FaultyBucket, code: str) -> None:
    faulty.then(on("PUT", error(409, code)), on("PUT", error(409, code)))
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert faulty.objects == {KEY: CONTENT}


async def test_a_storage_that_is_away_is_told_with_a_time_to_wait(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | OPEN | {"storage.max_attempts": "1"})
    faulty.then(on("PUT", error(503, "SlowDown")))
    body = form(FILE, CONTENT, fields(FILE, CONTENT))
    async with aiohttp.request("POST", gateway.url, data=body, headers=FORM) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"].isdigit()
    assert faulty.objects == {}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"sha256_digest": "0" * 64}, "sha256_digest is not that of the file"),
        ({"blake2_256_digest": "0" * 64}, "blake2_256_digest is not that of the file"),
        ({"md5_digest": "0" * 32}, "md5_digest is not that of the file"),
        ({"sha256_digest": None, "blake2_256_digest": None}, "rule digest"),
        ({"name": "other"}, "not one of other"),
        ({"version": "2.0"}, "not one of version 2.0"),
        ({"filetype": "sdist"}, "no sdist"),
        ({"protocol_version": "2"}, "protocol_version"),
        ({":action": "submit"}, ":action"),
        ({"requires_python": ">=3"}, "rule metadata"),
    ],
)
async def test_what_contradicts_itself_is_refused_and_not_written(
    gateway: Gateway, faulty: FaultyBucket, other: dict[str, str | None], words: str
) -> None:
    status, reason, body = await upload(gateway.url, FILE, CONTENT, other)
    assert status == 400
    assert words in reason
    assert words in body
    assert faulty.objects == {}


async def test_a_form_that_breaks_off_leaves_nothing(gateway: Gateway, faulty: FaultyBucket) -> None:
    body = form(FILE, CONTENT, fields(FILE, CONTENT)).rpartition(b"--\r\n")[0]
    async with aiohttp.request("POST", gateway.url, data=body, headers=FORM) as answer:
        assert answer.status == 400
    assert faulty.objects == {}


async def test_attestations_may_follow_the_file_and_nothing_else(gateway: Gateway, faulty: FaultyBucket) -> None:
    for name, status in (("sha256_digest", 400), ("attestations", 200)):
        body = form(FILE, CONTENT, fields(FILE, CONTENT), after={name: "[]"})
        async with aiohttp.request("POST", gateway.url, data=body, headers=FORM) as answer:
            assert answer.status == status
    assert faulty.objects == {KEY: CONTENT}


@pytest.mark.parametrize(
    ("put", "told"), [(healthy, "is published, though"), (error(403, "AccessDenied"), "may not be")]
)
async def test_how_an_upload_ended_whose_client_left_is_in_the_log(
    gateway: Gateway, faulty: FaultyBucket, caplog: pytest.LogCaptureFixture, put: Behaviour, told: str
) -> None:
    """The request has only the status 499 there, and in the audit."""
    caplog.set_level("INFO", "gateway.publish")
    go_on = asyncio.Event()

    async def held(answer: Answer) -> None:
        await go_on.wait()
        await put(answer)

    faulty.then(on("PUT", held))
    body = form(FILE, CONTENT, fields(FILE, CONTENT))
    _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await faulty.until(lambda: any(request.method == "PUT" and request.key == KEY for request in faulty.requests))
    writer.close()
    await eventually(lambda: gateway.metrics.in_flight == 0)
    go_on.set()
    await eventually(lambda: f"{KEY} {told}" in caplog.text)


async def test_a_file_that_is_right_is_published_and_seen_though_its_client_leaves(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    go_on = asyncio.Event()

    async def held(answer: Answer) -> None:
        await go_on.wait()
        await healthy(answer)

    assert (await get(f"{gateway.url}/simple/acme-web/"))[0] == 404
    faulty.then(on("PUT", held))
    body = form(FILE, CONTENT, fields(FILE, CONTENT))
    _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await faulty.until(lambda: any(request.method == "PUT" and request.key == KEY for request in faulty.requests))
    writer.close()
    await eventually(lambda: gateway.metrics.in_flight == 0)
    go_on.set()
    await faulty.until(lambda: KEY in faulty.objects)
    found = 404
    async with asyncio.timeout(10):
        while found == 404:
            found, _ = await get(f"{gateway.url}/simple/acme-web/")
    assert found == 200


async def test_a_release_has_one_sdist(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | OPEN)
    faulty.objects = {"acme-web/acme-web-1.0.zip": b"x"}
    name, content = sdist("acme_web", "1.0")
    status, reason, _ = await upload(gateway.url, name, content)
    assert (status, "rule one-sdist" in reason) == (400, True)
    relaxed = await start_gateway(faulty_settings | OPEN | {"publish.skip_rules": "one-sdist"})
    assert (await upload(relaxed.url, name, content))[0] == 200


async def test_a_file_in_a_folder_that_is_spelled_otherwise_is_that_file(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    faulty.objects = {f"Acme_Web/{FILE}": CONTENT}
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert (await upload(gateway.url, FILE, wheel("acme_web", "1.0", summary="another")[1]))[0] == 409
    assert faulty.objects == {f"Acme_Web/{FILE}": CONTENT}


async def test_a_file_without_a_stored_hash_is_compared_by_its_bytes(gateway: Gateway, faulty: FaultyBucket) -> None:
    for there, status in ((CONTENT, 200), (CONTENT[:-1] + b"x", 409), (CONTENT + b"x", 409)):
        faulty.objects = {KEY: there}
        assert (await upload(gateway.url, FILE, CONTENT))[0] == status


@pytest.mark.parametrize("more", [-1, 1])
async def test_a_file_of_another_size_is_not_read(gateway: Gateway, faulty: FaultyBucket, more: int) -> None:
    """Its client waits meanwhile: for a minute, if it has some gigabytes."""
    faulty.objects = {KEY: b"another"}

    async def slow(answer: Answer) -> None:
        of_file = answer.request.method == "GET" and answer.request.key == KEY
        await (stall_in_body(10, length=len(CONTENT) + more) if of_file else healthy)(answer)

    faulty.then(slow, times=100)
    async with asyncio.timeout(5):
        assert (await upload(gateway.url, FILE, CONTENT))[0] == 409
    assert any(request.method == "GET" and request.key == KEY for request in faulty.requests)


async def test_no_project_takes_the_path_of_the_index(gateway: Gateway, faulty: FaultyBucket) -> None:
    assert (await upload(gateway.url, *wheel("simple", "1.0")))[0] == 400
    assert faulty.objects == {}


@pytest.mark.parametrize("path", ["/simple/acme-web/", f"/{KEY}", "/legacy/x"])
async def test_uploads_to_another_path_are_told_where(gateway: Gateway, path: str) -> None:
    assert (await upload(gateway.url + path, FILE, CONTENT))[:2] == (405, "Files are uploaded to /legacy/")


@pytest.mark.parametrize(("path", "allow"), [("/legacy/", "GET, HEAD, POST"), ("/acme-web/x.whl", "GET, HEAD")])
async def test_other_methods_are_told_which_there_are(gateway: Gateway, path: str, allow: str) -> None:
    async with aiohttp.request("PUT", gateway.url + path, data=b"x") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, allow)
    async with aiohttp.request("POST", f"{gateway.url}/acme-web/", json={}) as answer:
        assert (answer.status, answer.reason) == (405, "Files are uploaded to /legacy/")


async def test_fields_that_take_long_keep_no_memory(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_FIELDS_SECONDS", 0.05)
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\nContent-Length: 9000000\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(head.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_small_file_waits_for_no_large_ones(
    start_gateway: StartGateway, faulty_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which one more would wait, for as long as slow clients take."""
    monkeypatch.setattr(uploads, "_WAIT_SECONDS", 0.2)
    gateway = await start_gateway(faulty_settings | OPEN)
    begun = form(FILE, CONTENT, fields(FILE, CONTENT)).partition(CONTENT)[0] + CONTENT[:10]
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\nContent-Length: 90000000\r\n\r\n"
    answers, writers = [], []
    for _ in range(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
        writer.write(head.encode() + begun)
        answers.append(asyncio.ensure_future(reader.readline()))
        writers.append(writer)
    done, held = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
    assert [answer.result()[:13] for answer in done] == [b"HTTP/1.1 503 "]
    assert len(held) == 4
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    for writer in writers:
        writer.close()
    await asyncio.gather(*answers, return_exceptions=True)


async def test_a_file_keeps_its_memory_until_it_is_written_though_its_client_leaves(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or clients that leave and try again, while the bucket hangs, would have the gateway hold ever more."""
    body = form(FILE, CONTENT, fields(FILE, CONTENT))
    monkeypatch.setattr(uploads, "_MEMORY_BYTES", 2 * len(body))
    monkeypatch.setattr(uploads, "_WAIT_SECONDS", 0.1)
    gateway = await start_gateway(faulty_settings | OPEN)
    go_on = asyncio.Event()

    async def held(answer: Answer) -> None:
        await go_on.wait()
        await healthy(answer)

    faulty.then(on("PUT", held))
    _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await faulty.until(lambda: any(request.method == "PUT" and request.key == KEY for request in faulty.requests))
    writer.close()
    await eventually(lambda: gateway.metrics.in_flight == 0)
    other = wheel("acme_web", "1.1")
    assert (await upload(gateway.url, *other))[0] == 503
    go_on.set()
    await faulty.until(lambda: KEY in faulty.objects)
    async with asyncio.timeout(10):
        while (status := (await upload(gateway.url, *other))[0]) == 503:
            pass
    assert status == 200


async def test_a_wheel_that_is_all_directory_has_the_memory_that_it_takes(gateway: Gateway) -> None:
    """That is kept to be compared with what has passed, beside the part that is to be written."""
    member = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[0] * 9, 454, *[0] * 6) + bytes(454)
    body = form(FILE, member * 8_000, fields(FILE, CONTENT))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    assert gateway.mount.uploads is not None
    memory = gateway.mount.uploads.memory["files"]
    tracemalloc.start()
    try:
        writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\n".encode())
        writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode())
        for at in range(0, len(body) - 50, 65_536):
            writer.write(body[at : min(at + 65_536, len(body) - 50)])
            await writer.drain()
        await eventually(lambda: tracemalloc.get_traced_memory()[0] > 1.8 * len(body))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1.2 * memory.stats()["used"]
    writer.write(body[-50:])
    assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_a_refused_file_makes_no_project_of_its_name(start_gateway: StartGateway, tmp_path: Path) -> None:
    """Of its folder, a project that is empty, and that no other index is asked for."""
    (tmp_path / "packages").mkdir()
    gateway = await start_gateway({"storage.dir": str(tmp_path / "packages")} | OPEN)
    filename, content = wheel("requests", "1.0")
    assert (await upload(gateway.url, filename, content[:-1]))[0] == 400
    assert [path.name for path in (tmp_path / "packages").iterdir()] == []
    assert (await upload(gateway.url, filename, content))[0] == 200
    assert (tmp_path / "packages/requests" / filename).read_bytes() == content


async def test_a_flat_directory_stays_flat(start_gateway: StartGateway, tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    name, content = sdist("other", "1.0")
    (root / name).write_bytes(content)
    gateway = await start_gateway(OPEN | {"storage.dir": str(root), "index.layout": "auto"})
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert sorted(path.name for path in root.iterdir()) == [FILE, name]
    assert FILE in (await get(f"{gateway.url}/simple/acme-web/"))[1]


async def test_hatch_finds_the_page_below_where_it_uploads(gateway: Gateway) -> None:
    await upload(gateway.url, FILE, CONTENT)
    for path in ("", "/legacy", "/simple", "/pypi"):
        assert FILE in (await get(f"{gateway.url}{path}/+simple/acme-web/"))[1]


async def test_who_may_write_is_asked_before_the_body_and_what_before_the_file(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | GUARDED)
    body = form(FILE, CONTENT, fields(FILE, CONTENT))
    async with aiohttp.request("POST", gateway.url, data=body, headers=FORM) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="packages", charset="UTF-8"'
    assert (await upload(gateway.url, FILE, CONTENT, headers=basic("alice")))[0] == 403
    assert (await upload(gateway.url, *wheel("other", "1.0"), headers=basic("bob")))[0] == 403
    assert faulty.objects == {}
    assert (await upload(gateway.url, FILE, CONTENT, headers=basic("bob")))[0] == 200
    put = next(request for request in faulty.requests if request.method == "PUT" and request.key == KEY)
    assert put.headers["x-amz-meta-uploader"] == "bob"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Origin": "null", "Host": ""},
        {"Origin": "http://[::1"},
    ],
)
async def test_a_page_of_another_site_has_no_browser_upload(
    gateway: Gateway, faulty: FaultyBucket, headers: dict[str, str]
) -> None:
    assert (await upload(gateway.url, FILE, CONTENT, headers=headers))[0] == 403
    assert faulty.objects == {}


async def test_overwriting_is_for_those_who_may(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.overwrite": "everyone"})
    faulty.objects = {KEY: b"old"}
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert faulty.objects == {KEY: CONTENT}
    assert (await upload(gateway.url, FILE, CONTENT))[2] == f"{FILE} is there already, with the same content\n"
    assert [request.key for request in faulty.requests if request.method == "PUT"].count(KEY) == 1


async def test_what_is_too_large_is_refused_before_it_comes(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.max_bytes": "100"})
    status, reason, _ = await upload(gateway.url, FILE, CONTENT)
    assert status == 413
    assert "at most 100 bytes" in reason
    assert faulty.objects == {}


async def test_without_publishing_nothing_is_taken(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings)
    status, reason, _ = await upload(gateway.url, FILE, CONTENT)
    assert (status, reason) == (405, "Read-only: upload with aws s3 cp")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"publish.enabled": "true"}, "publish.enabled"),
        (GUARDED | {"publish.allow_anonymous": "true"}, "publish.allow_anonymous"),
        (OPEN | {"index.mode": "static"}, "publish.enabled"),
        (OPEN | {"publish.skip_rules": "all"}, "publish.skip_rules"),
    ],
)
def test_settings_that_do_not_go_together(tmp_path: Path, settings: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(settings, environ={}, cwd=tmp_path)
    assert key in str(caught.value)


_IMPORTED = """
import asyncio, sys
from gateway.app import Gateway
from gateway.config.load import load
Gateway(load({"storage.dir": sys.argv[1], "cache.memory_bytes": "0"}, environ={}))
print(sorted(name for name in sys.modules if name.startswith("gateway.publish") or name == "multipart"))
"""


def test_without_publishing_nothing_of_it_is_imported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _IMPORTED, str(tmp_path)]
    done = subprocess.run(command, env=gateway_environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_missing_library_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gateway.publish")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "multipart", None)
    with pytest.raises(ConfigError, match=r"pip install 's3-package-gateway\[publish\]'"):
        Gateway(load(OPEN | {"storage.dir": str(tmp_path)}, environ={}))
