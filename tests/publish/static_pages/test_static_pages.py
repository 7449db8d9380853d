"""Stored pages that are kept up to date while files are published, yanked and deleted."""

import asyncio
import codecs
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.index.simple import page_edit
from gateway.index.simple.pages import File, Project, project_html, root_html
from gateway.index.simple.static_page import names_of, project_of
from gateway.publish.static_pages import static_pages
from tests.conftest import StartGateway
from tests.publish.test_uploads import OPEN, basic
from tests.support.faults import Answer, FaultyBucket, error, healthy, on
from tests.support.uploads import fields, sdist, upload, wheel

FILE, CONTENT = wheel("acme_web", "1.0")
DIGEST = fields(FILE, CONTENT)["sha256_digest"]
OLD = File("acme_web-0.9.tar.gz", "acme_web-0.9.tar.gz", hashes={"sha256": "11" * 32})
PAGE = "acme-web/index.html"
STORED = project_html(Project("acme-web", (), (OLD,))).replace(b"<h1>", b"<h1>Our own: ")
MANAGED = {
    "publish.enabled": "true",
    "access.authenticators": "tests.support.people:People",
    "access.default_read": "everyone",
    "access.default_write": "everyone",
    "access.admins": "bob",
}


@pytest.fixture
def stored(faulty: FaultyBucket) -> None:
    faulty.objects = {
        "acme-web/acme_web-0.9.tar.gz": b"old",
        PAGE: STORED,
        "index.html": root_html(["acme-web"]),
    }
    faulty.headers[PAGE] = [("Content-Type", "text/html"), ("Cache-Control", "max-age=7")]


@pytest.fixture
async def gateway(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], stored: None
) -> Gateway:
    return await start_gateway(faulty_settings | OPEN)


async def managed(gateway: Gateway, change: dict[str, str]) -> int:
    """The status."""
    url = f"{gateway.url}/-/manage/acme-web/"
    async with aiohttp.request("POST", url, data=change, headers=basic("bob")) as answer:
        return answer.status


def listed(faulty: FaultyBucket, page: str = PAGE) -> Sequence[File]:
    return project_of("acme-web", faulty.objects[page].decode()).files


async def test_a_new_file_is_on_the_stored_page_when_the_client_has_its_answer(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    new = File(FILE, FILE, hashes={"sha256": DIGEST})
    assert listed(faulty) == (OLD, new)
    assert b"<h1>Our own: " in faulty.objects[PAGE]
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/") as answer:
        assert f"{FILE}#sha256={DIGEST}" in await answer.text()
    put = next(request for request in faulty.requests if request.method == "PUT" and request.key == PAGE)
    assert "if-match" in put.headers
    assert (put.headers["content-type"], put.headers["cache-control"]) == ("text/html", "max-age=7")
    assert not any(request.method == "PUT" and request.key == "index.html" for request in faulty.requests)


async def test_a_new_project_is_on_the_stored_root_s_page_only_where_pages_are_written(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], stored: None
) -> None:
    file, content = wheel("bow", "1.0")
    gateway = await start_gateway(faulty_settings | OPEN)
    assert (await upload(gateway.url, file, content))[0] == 200
    assert "bow/index.html" not in faulty.objects
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.write_pages": "true"})
    file, content = sdist("bow", "1.0")
    assert (await upload(gateway.url, file, content))[0] == 200
    assert [each.name for each in listed(faulty, "bow/index.html")] == ["bow-1.0-py3-none-any.whl", "bow-1.0.tar.gz"]
    assert names_of(faulty.objects["index.html"].decode()) == ["acme-web", "bow"]


async def test_side_by_side_no_file_is_lost_from_the_page(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateways = [await start_gateway(faulty_settings | OPEN | {"publish.write_pages": "true"}) for _ in range(2)]
    files = [wheel("acme_web", f"1.{number}") for number in range(12)]
    answers = await asyncio.gather(
        *(upload(gateways[number % 2].url, *file) for number, file in enumerate(files)),
    )
    assert {status for status, _, _ in answers} == {200}
    assert {file.name for file in listed(faulty)} == {name for name, _ in files}


async def test_the_page_that_another_has_changed_meanwhile_is_changed_as_it_is_then(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    async def changed(answer: Answer) -> None:
        if answer.request.key == PAGE:
            faulty.objects[PAGE] = STORED.replace(b"Our own", b"Their own")
        else:
            faulty.script.insert(0, on("PUT", changed))
        await healthy(answer)

    faulty.then(on("PUT", changed))
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert [file.name for file in listed(faulty)] == [OLD.name, FILE]
    assert b"Their own" in faulty.objects[PAGE]


async def test_a_page_that_never_stays_is_an_error_after_which_the_same_again_succeeds(
    gateway: Gateway, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_pages, "_SECONDS", 0.0)

    async def refused(answer: Answer) -> None:
        await (error(412, "PreconditionFailed") if answer.request.key == PAGE else healthy)(answer)

    faulty.then(on("PUT", refused), on("PUT", refused))
    shown = list[str]()
    monkeypatch.setattr(gateway.mounts, "refresh_all", lambda project, mount: shown.append(project))
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 503
    assert listed(faulty) == (OLD,)
    assert shown == ["acme-web"]  # the file is there
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert [file.name for file in listed(faulty)] == [OLD.name, FILE]


@pytest.mark.parametrize(
    ("page", "headers", "why"),
    [
        (STORED.replace(b"own", b"\xff"), [], "not UTF-8"),
        (STORED, [("Content-Encoding", "gzip")], "compressed"),
        (STORED.decode().encode("utf-16-le"), [("Content-Type", "text/html; charset=utf-16")], "not UTF-8"),
        ("<p>ä".encode(), [("Content-Type", "text/html; charset=windows-1252")], "not UTF-8"),
        (root_html(str(number) for number in range(120_000)), [], "more links"),
    ],
    ids=["latin", "gzip", "utf-16", "windows", "links"],
)
@pytest.mark.parametrize("key", [PAGE, "index.html"])
async def test_a_page_that_can_t_be_changed_is_told_before_anything_is_written(
    gateway: Gateway, faulty: FaultyBucket, page: bytes, headers: list[tuple[str, str]], why: str, key: str
) -> None:
    faulty.objects[key] = page
    faulty.headers[key] = headers
    status, _, body = await upload(gateway.url, FILE, CONTENT)
    assert (status, why in body) == (502, True)
    assert faulty.objects.keys() == {"acme-web/acme_web-0.9.tar.gz", PAGE, "index.html"}


@pytest.mark.parametrize(
    "header",
    [
        ("Content-Encoding", "aws-chunked"),
        ("Content-Encoding", "identity"),
        ("Content-Type", "text/html; charset=windows-1252"),
    ],
)
async def test_what_makes_no_other_bytes_of_a_page_is_no_reason(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    stored: None,
    header: tuple[str, str],
) -> None:
    gateway = await start_gateway(faulty_settings | MANAGED)
    faulty.objects[PAGE] = codecs.BOM_UTF8 + STORED
    faulty.headers[PAGE] = [header]
    assert (await upload(gateway.url, FILE, CONTENT, headers=basic("bob")))[0] == 200
    assert await managed(gateway, {"action": "yank", "version": "1.0", "reason": "für"}) == 200
    assert [file.yanked for file in listed(faulty)] == [None, "für"]
    assert faulty.objects[PAGE].startswith(codecs.BOM_UTF8 + b"<!")
    assert faulty.objects[PAGE][3:].isascii()


async def test_a_file_in_another_folder_than_the_page_is_linked_from_there(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"Acme_Web/index.html": STORED, "acme-web/acme_web-0.9.tar.gz": b"old"}
    gateway = await start_gateway(faulty_settings | OPEN)
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    (key,) = [key for key in faulty.objects if key.endswith(FILE)]
    expected = FILE if key.startswith("Acme_Web/") else f"../acme-web/{FILE}"
    assert [file.url for file in listed(faulty, "Acme_Web/index.html")] == [OLD.url, expected]


async def test_yank_and_delete_change_the_page_too(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], stored: None
) -> None:
    gateway = await start_gateway(faulty_settings | MANAGED)
    seen = []
    for change in (
        {"action": "yank", "version": "0.9", "reason": "it\nbreaks"},
        {"action": "unyank", "version": "0.9"},
        {"action": "delete", "version": "0.9"},
    ):
        assert await managed(gateway, change) == 200
        seen.append([file.yanked for file in listed(faulty)])
    assert seen == [["it breaks"], [None], []]


async def test_a_directory_s_pages_are_kept_too(start_gateway: StartGateway, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    gateway = await start_gateway(OPEN | {"storage.dir": str(tmp_path / "p"), "publish.write_pages": "true"})
    for file, content in (sdist("acme_web", "1.0"), (FILE, CONTENT)):
        assert (await upload(gateway.url, file, content))[0] == 200
    page = (tmp_path / "p/acme-web/index.html").read_text()
    assert [file.name for file in project_of("acme-web", page).files] == ["acme_web-1.0.tar.gz", FILE]
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/", headers=accept) as answer:
        assert len(json.loads(await answer.text())["files"]) == 2


async def test_who_change_one_page_take_turns(gateway: Gateway, faulty: FaultyBucket) -> None:
    files = [wheel("acme_web", f"1.{number}") for number in range(12)]
    answers = await asyncio.gather(*(upload(gateway.url, *file) for file in files))
    assert {status for status, _, _ in answers} == {200}
    assert len(listed(faulty)) == 1 + len(files)
    assert sum(asked.method == "PUT" and asked.key == PAGE for asked in faulty.requests) == len(files)


def just_before(faulty: FaultyBucket, method: str, key: str, change: Callable[[], object]) -> None:
    """Makes a change of others just before the first request with this method for a key takes effect."""

    async def changed(answer: Answer) -> None:
        if answer.request.key == key:
            change()
        else:
            faulty.script.insert(0, on(method, changed))
        await healthy(answer)

    faulty.then(on(method, changed))


@pytest.mark.parametrize("action", ["yank", "unyank"])
async def test_the_page_says_what_the_mark_says_that_others_change_meanwhile(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], stored: None, action: str
) -> None:
    gateway = await start_gateway(faulty_settings | MANAGED)
    mark = f"acme-web/{OLD.name}.yanked"
    if action == "yank":
        just_before(faulty, "PUT", PAGE, lambda: faulty.objects.pop(mark))
    else:
        faulty.objects[PAGE] = STORED.replace(b"<a ", b'<a data-yanked="" ')
        just_before(faulty, "PUT", PAGE, lambda: faulty.objects.update({mark: b"theirs\n"}))
    assert await managed(gateway, {"action": action, "version": "0.9"}) == 200
    assert [file.yanked for file in listed(faulty)] == [None if action == "yank" else "theirs"]


async def test_a_file_that_is_yanked_while_its_link_is_written_is_yanked_on_the_page(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], stored: None
) -> None:
    gateway = await start_gateway(faulty_settings | MANAGED)
    just_before(faulty, "PUT", PAGE, lambda: faulty.objects.update({f"acme-web/{FILE}.yanked": b"theirs"}))
    assert (await upload(gateway.url, FILE, CONTENT, headers=basic("bob")))[0] == 200
    assert [(file.name, file.yanked) for file in listed(faulty)] == [(OLD.name, None), (FILE, "theirs")]


async def test_no_link_leads_to_a_file_that_is_published_and_deleted_at_once(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], stored: None
) -> None:
    key = f"acme-web/{FILE}"
    gateway = await start_gateway(faulty_settings | MANAGED)
    just_before(faulty, "PUT", PAGE, lambda: faulty.objects.pop(key))
    assert (await upload(gateway.url, FILE, CONTENT, headers=basic("bob")))[0] == 200
    assert listed(faulty) == (OLD,)
    linked = page_edit.with_file(STORED.decode(), File(FILE, FILE)).encode()
    faulty.objects |= {key: CONTENT}
    gateway.refresh("acme-web")
    just_before(faulty, "DELETE", key, lambda: faulty.objects.update({PAGE: linked}))
    assert await managed(gateway, {"action": "delete", "version": "1.0"}) == 200
    assert listed(faulty) == (OLD,)


async def test_a_file_that_is_published_again_while_it_is_deleted_is_on_the_page(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], stored: None
) -> None:
    key = f"acme-web/{FILE}"
    gateway = await start_gateway(faulty_settings | MANAGED)
    assert (await upload(gateway.url, FILE, CONTENT, headers=basic("bob")))[0] == 200
    linked = faulty.objects[PAGE]
    just_before(faulty, "DELETE", f"{key}.yanked", lambda: faulty.objects.update({key: CONTENT, PAGE: linked}))
    assert await managed(gateway, {"action": "delete", "version": "1.0"}) == 200
    assert [(file.name, file.hashes) for file in listed(faulty)] == [
        (OLD.name, OLD.hashes),
        (FILE, {"sha256": DIGEST}),
    ]


async def test_the_page_has_the_hash_of_the_bytes_by_which_others_have_replaced_the_file_meanwhile(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], stored: None
) -> None:
    key, theirs = f"acme-web/{FILE}", {"sha256": "22" * 32}
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.overwrite": "everyone"})
    # They need not change the page, which has their hash already, from before.
    faulty.objects[PAGE] = page_edit.with_file(STORED.decode(), File(FILE, FILE, hashes=theirs)).encode()

    def replace() -> None:
        faulty.objects[key] = b"theirs"
        faulty.headers[key] = [("x-amz-meta-sha256", theirs["sha256"]), ("x-amz-meta-requires-python", ">=3.99")]

    just_before(faulty, "PUT", PAGE, replace)
    assert (await upload(gateway.url, FILE, CONTENT, headers=basic("bob")))[0] == 200
    assert [(file.hashes, file.requires_python) for file in listed(faulty)[1:]] == [(theirs, ">=3.99")]
