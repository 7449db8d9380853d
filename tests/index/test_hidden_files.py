"""What a rule for a path refuses, no page of a project tells: neither names, nor hashes, nor a README."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

FORMS = {
    "JSON": "application/vnd.pypi.simple.v1+json",
    "HTML": "*/*",
    "for people": "text/html,application/xhtml+xml",
}


async def page(gateway: Gateway, target: str, form: str, user: str) -> tuple[int, str]:
    headers = {"Accept": FORMS[form], "Remote-User": user}
    async with aiohttp.request("GET", gateway.url + target, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text("utf-8", "replace")


async def start(
    start_gateway: StartGateway, directory: Path, layout: str, rule: str, more: Mapping[str, str] | None = None
) -> Gateway:
    """`rule` is a path, or the name of a project; `more` are further settings."""
    rules = [{"paths" if "/" in rule else "projects": [rule], "read": ["user:alice"], "only": True}]
    return await start_gateway(
        {
            "storage.backend": "file",
            "storage.dir": str(directory),
            "index.layout": layout,
            "server.trusted_proxies": "127.0.0.0/8",
            "access.forward_auth": "{preset: authelia}",
            "access.rules": json.dumps(rules),
            **(more or {}),
        }
    )


def put(directory: Path, folder: str, name: str, version: str) -> str:
    file, content = wheel(name, version)
    (directory / folder).mkdir(exist_ok=True)
    (directory / folder / file).write_bytes(content)
    return f"{folder}/{file}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("layout", "rule"), [("flat", "/internal/"), ("auto", "/internal/"), ("auto", "internal")])
async def test_in_a_flat_bucket_a_project_s_page_has_what_its_reader_may_fetch(
    start_gateway: StartGateway, tmp_path: Path, layout: str, rule: str, form: str
) -> None:
    """One that is recognised as flat may be one of folders as well: there they are projects."""
    shown, hidden = put(tmp_path, "public", "acme", "1.0"), put(tmp_path, "internal", "acme", "2.0")
    put(tmp_path, "internal", "secret", "1.0")
    put(tmp_path, ".", "other", "1.0")
    gateway = await start(start_gateway, tmp_path, layout, rule)
    for user in ("alice", "bob", "alice", "bob"):
        status, text = await page(gateway, "/acme/", form, user)
        assert (status, shown in text) == (200, True)
        assert [mark in text for mark in (hidden, "acme-2.0")] == [user == "alice"] * 2
        status, text = await page(gateway, "/secret/", form, user)
        assert (status, "internal" in text) == ((200, True) if user == "alice" else (404, False))
        for target in ("/secret", "/simple/secret"):  # no redirect tells that there is such a page
            assert (await page(gateway, target, form, user))[0] == (301 if user == "alice" else 404)


@pytest.mark.parametrize("form", FORMS)
async def test_a_rule_for_a_folder_holds_for_the_page_of_its_project(
    start_gateway: StartGateway, tmp_path: Path, form: str
) -> None:
    hidden = put(tmp_path, "My_Docs", "my_docs", "1.0")
    gateway = await start(start_gateway, tmp_path, "project", "/My_Docs/")
    for user in ("alice", "bob"):
        found = {target: await page(gateway, target, form, user) for target in ("/my-docs/", "/MY_DOCS/", "/my-docs")}
        statuses = [status for status, _ in found.values()]
        assert statuses == ([200, 301, 301] if user == "alice" else [404, 404, 404])
        assert [hidden in text for _, text in found.values()] == [user == "alice", False, False]
        assert (await page(gateway, f"/{hidden}", form, user))[0] == (200 if user == "alice" else 403)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", ["redirect", "cache", "mirror"])
async def test_in_place_of_what_is_hidden_no_page_has_a_file_of_another_index(
    start_gateway: StartGateway, tmp_path: Path, mode: str, form: str
) -> None:
    """Whoever may not read ours must not get another one for it. The second project has nothing else."""
    shown, hidden = put(tmp_path, "public", "acme", "1.0"), put(tmp_path, "internal", "acme", "2.0")
    alone, theirs = put(tmp_path, "internal", "alone", "2.0"), wheel("acme", "3.0")
    names = [key.partition("/")[2] for key in (shown, hidden)]
    async with PublicIndex().running() as public:
        public.projects = {"acme": {**dict.fromkeys(names, b"theirs"), theirs[0]: theirs[1]}}
        public.projects["alone"] = dict.fromkeys([alone.partition("/")[2], "alone-3.0.tar.gz"], b"theirs")
        more = {"fallback.mode": mode, "fallback.base_url": public.url, "fallback.always_show_upstream": "true"}
        gateway = await start(start_gateway, tmp_path, "flat", "/internal/", more)
        for user in ("alice", "bob", "alice", "bob"):
            status, text = await page(gateway, "/acme/", form, user)
            assert (status, shown in text, theirs[0] in text) == (200, True, True)
            assert [mark in text for mark in (hidden, names[1])] == [user == "alice"] * 2
            status, text = await page(gateway, "/alone/", form, user)
            assert (status, "alone-3.0.tar.gz" in text) == (200, True)
            assert ("alone-2.0" in text) == (user == "alice")
        assert (await page(gateway, f"/acme/{names[1]}", form, "bob"))[0] == 404


async def test_no_page_has_a_version_of_which_all_is_hidden(start_gateway: StartGateway, tmp_path: Path) -> None:
    names = [wheel("acme", version)[0] for version in ("1.0", "2.0", "2.0rc1")]
    put(tmp_path, "other", "other", "1.0")
    async with PublicIndex().running() as public:
        public.projects = {"acme": dict.fromkeys(names, b"theirs")}
        public.page = {"versions": ["1.0", "2.0", "2.0rc1", "3.0"]}
        more = {"fallback.mode": "mirror", "fallback.base_url": public.url}
        gateway = await start(start_gateway, tmp_path, "auto", f"/acme/{names[1]}", more)
        for user, versions in (("alice", public.page["versions"]), ("bob", ["1.0", "2.0rc1"])):
            _, text = await page(gateway, "/simple/acme/", "JSON", user)
            assert sorted(json.loads(text)["versions"]) == sorted(versions)


@pytest.mark.parametrize("always", ["false", "true"])
@pytest.mark.parametrize("mode", ["cache", "mirror"])
async def test_a_folder_spelled_otherwise_leads_to_no_file_that_a_rule_refuses(
    start_gateway: StartGateway, tmp_path: Path, mode: str, always: str
) -> None:
    """Neither to ours, which lie where fetched files are kept, nor to one of the other index."""
    ours, (theirs, content) = put(tmp_path, "acme", "acme", "1.0"), wheel("other", "1.0")
    async with PublicIndex().running() as public:
        public.projects = {"acme": {"acme-2.0.tar.gz": b"theirs"}, "other": {theirs: content}}
        more = {"fallback.mode": mode, "fallback.base_url": public.url, "fallback.always_show_upstream": always}
        for rule, path in (("/acme/", ours), ("/other/", f"other/{theirs}")):
            gateway = await start(start_gateway, tmp_path, "project", rule, more)
            assert [await followed(gateway, f"/{path}", user) for user in ("alice", "bob")] == [200, 403]
            for spelled in (f"/{path.capitalize()}", f"/simple/{path.capitalize()}", f"/{path.capitalize()}.metadata"):
                assert await followed(gateway, spelled, "bob") in (403, 404), spelled
        for spelled in (f"/Other/{theirs}", f"/simple/Other/{theirs}"):
            assert await followed(gateway, spelled, "alice") == 200


async def followed(gateway: Gateway, target: str, user: str) -> int:
    """The status where redirects lead to."""
    async with aiohttp.request("GET", gateway.url + target, headers={"Remote-User": user}) as answer:
        return answer.status


@pytest.mark.parametrize("redirect", ["false", "true", "unchecked"])
async def test_below_pypiclouds_hash_nothing_is_found_that_a_rule_refuses(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], redirect: str
) -> None:
    def stored(key: str) -> str:
        return f"{hashlib.md5(key.partition('/')[2].encode()).hexdigest()[:4]}/{key}"

    # Of the first the name tells no project: the folder alone does. The second is hidden by a rule for its path.
    hidden = ["secret/secret-latest.bin", f"internal/{wheel('acme', '1.0')[0]}"]
    faulty.objects = {stored(key): b"content" for key in hidden}
    rules = [
        {"projects": ["secret"], "read": ["user:alice"], "only": True},
        {"paths": ["/internal/"], "read": ["user:alice"], "only": True},
    ]
    gateway = await start_gateway(
        faulty_settings
        | {
            "storage.prepend_hash": "true",
            "storage.redirect_urls": str(redirect != "false").lower(),
            "storage.redirect_check": str(redirect != "unchecked").lower(),
            "server.trusted_proxies": "127.0.0.0/8",
            "access.forward_auth": "{preset: authelia}",
            "access.rules": json.dumps(rules),
        }
    )
    for key in hidden:
        for user, expected in {"alice": 200 if redirect == "false" else 302, "bob": 403}.items():
            assert (await page(gateway, f"/{key}", "HTML", user))[0] == expected
            for target in (f"/{stored(key)}", f"/simple/{stored(key)}"):
                assert (await page(gateway, target, "HTML", user))[0] == 404


@pytest.mark.parametrize("form", FORMS)
async def test_a_stored_page_is_not_for_whom_it_names_too_much(
    start_gateway: StartGateway, tmp_path: Path, form: str
) -> None:
    hidden, shown = (put(tmp_path, "acme", "acme", version).partition("/")[2] for version in ("2.0", "1.0"))
    (tmp_path / "acme" / "index.html").write_text(
        f'stored <a href="{hidden}">{hidden}</a> <a href="{shown}">{shown}</a>'
    )
    gateway = await start(start_gateway, tmp_path, "project", f"/acme/{hidden}")
    for target in ("/acme/", "/simple/acme/", "/acme/index.html", "/simple/acme/index.html"):
        code, text = await page(gateway, target, form, "alice")
        assert (code, hidden in text) == (200, True), target
        code, text = await page(gateway, target, form, "bob")
        assert (code, hidden in text) == (404 if target.endswith(".html") else 200, False), target
    assert shown in (await page(gateway, "/simple/acme/", form, "bob"))[1]


async def test_a_page_that_is_stored_in_a_tree_stays_for_whom_files_are_hidden(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("index.html", "latest.pdf"):
        (tmp_path / "docs" / name).write_text("a manual")
    gateway = await start(start_gateway, tmp_path, "project", "/docs/latest.pdf")
    for target, code in (("/docs/", 200), ("/docs/index.html", 200), ("/docs/latest.pdf", 403)):
        assert (await page(gateway, target, "HTML", "bob"))[0] == code, target


@pytest.mark.parametrize("form", FORMS)
async def test_a_copy_of_another_project_s_file_is_that_project_s(
    start_gateway: StartGateway, tmp_path: Path, form: str
) -> None:
    """Whoever may not fetch it does not see its name in the folder where it lies."""
    put(tmp_path, "acme", "acme", "1.0")
    for name in ("zulu-9.0-py3-none-any.whl.bak", "notes.txt"):
        (tmp_path / "acme" / name).write_text("x")
    gateway = await start(start_gateway, tmp_path, "project", "zulu")
    for user, there in (("alice", True), ("bob", False)):
        code, text = await page(gateway, "/acme/" if form == "for people" else "/simple/acme/", form, user)
        assert (code, "zulu-9.0" in text, "notes.txt" in text) == (200, there, True)
