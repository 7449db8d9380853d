"""Headers that all answers of a site have."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.messages import Answer
from gateway.website.answer_headers import AnswerHeaders
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket, error
from tests.test_cors import kept_alive
from tests.website.test_website import NAVIGATION, PEOPLE, Site

TABLE = [
    {"path": "/embed/*", "headers": {"Content-Security-Policy": "frame-ancestors *"}},
    {"path": "/*", "headers": {"x-frame-OPTIONS": "DENY", "Content-Security-Policy": "default-src 'self'"}},
]
OF_ALL = {"x-frame-options": "DENY", "content-security-policy": "default-src 'self'"}


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {"index.html": b"home", "docs/index.html": b"docs", "a.txt": b"0123", "big": bytes(100_000)}
    faulty.objects |= {"embed/a.html": b"x"}
    redirects = [{"path": "/old", "to": "/new"}]
    changes = {"index.mode": "site", "site.headers": json.dumps(TABLE), "site.redirects": json.dumps(redirects)}
    return faulty_settings | changes


@pytest.mark.parametrize(
    ("path", "headers", "method", "status"),
    [
        ("/", {}, "GET", 200),
        ("/a.txt", {}, "HEAD", 200),
        ("/a.txt", {"Range": "bytes=0-1"}, "GET", 206),
        ("/a.txt", {"Range": "bytes=9-"}, "GET", 416),
        ("/a.txt", {"If-Match": '"x"'}, "GET", 412),
        ("/big", {}, "GET", 200),
        ("/docs", {}, "GET", 301),
        ("/old", {}, "GET", 301),
        ("/nope", {}, "GET", 404),
        ("/.gateway/x", {}, "GET", 404),
        ("/a.txt", {}, "DELETE", 405),
        ("/%00", {}, "GET", 400),
        ("/bad.txt", {}, "GET", 502),
        ("//a.txt", {}, "GET", 200),
    ],
)
async def test_all_answers_have_them(
    start_gateway: StartGateway,
    settings: dict[str, str],
    faulty: FaultyBucket,
    path: str,
    headers: dict[str, str],
    method: str,
    status: int,
) -> None:
    faulty.of_key["bad.txt"] = error(400, "Odd")
    site = Site((await start_gateway(settings)).url)
    answer = await site.get(path, headers, method)
    assert answer.status == status
    assert OF_ALL.items() <= answer.headers.items()
    assert answer.head.lower().count(b"x-frame-options") == 1


async def test_the_first_that_fits_applies_alone(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | {"server.base_path": "/base"})).url)
    # What two slashes lead to is the same page: whoever frames it has no choice of headers.
    for path in ("/base/embed/a.html", "/base/embed/nope", "/base//embed///a.html"):
        answer = await site.get(path)
        assert answer.headers["content-security-policy"] == "frame-ancestors *"
        assert "x-frame-options" not in answer.headers
    assert (await site.get("/base")).headers["x-frame-options"] == "DENY"


async def test_who_is_refused_gets_them_too(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | PEOPLE)).url)
    answer = await site.get("/a.txt")
    assert (answer.status, answer.headers["x-frame-options"]) == (401, "DENY")


async def test_pages_of_the_gateway_say_themselves_what_may_run_in_them(
    start_gateway: StartGateway, settings: dict[str, str]
) -> None:
    site = Site((await start_gateway(settings | {"site.listing": "true"})).url)
    for path in ("/embed/", "/nope"):
        answer = await site.get(path, NAVIGATION)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.head.lower().count(b"content-security-policy") == 1
    assert answer.headers["x-frame-options"] == "DENY"


async def test_what_is_not_of_the_site_has_none(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings)).url)
    assert "x-frame-options" not in (await site.get("/health")).headers
    index = Site((await start_gateway(settings | {"index.mode": "auto"})).url)
    assert "x-frame-options" not in (await index.get("/nope")).headers


async def test_repeated_requests_get_them(
    start_gateway: StartGateway, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(settings | {"cache.memory_bytes": "8MB"})
    dressed: list[str] = []
    added = AnswerHeaders.added

    def spy(self: AnswerHeaders, path: str, answer: Answer) -> Answer:
        dressed.append(path)
        return added(self, path, answer)

    monkeypatch.setattr(AnswerHeaders, "added", spy)
    answers = [await kept_alive(gateway, "/a.txt", "") for _ in range(6)]
    assert all(OF_ALL.items() <= answer.headers.items() for answer in answers)
    assert 1 <= len(dressed) < len(answers), "none was answered again without being looked at"


async def test_each_mount_has_its_own(start_gateway: StartGateway, tmp_path: Path) -> None:
    """Here an index with two sites below it."""
    for name in ("main", "docs", "blog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("text, " * 1000)
    mounts: list[dict[str, Any]] = [
        {
            "name": name,
            "path": f"/{name}",
            "storage": {"dir": str(tmp_path / name)},
            "index": {"mode": "site"},
            "site": {"headers": [{"path": "/*", "headers": {"X-Site": name}}]},
        }
        for name in ("docs", "blog")
    ]
    mounts[0]["site"]["compress"] = {}
    settings = {"storage": {"dir": str(tmp_path / "main")}, "mounts": mounts}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    site = Site((await start_gateway({})).url)
    expected = {"/docs": ("docs", "gzip"), "/blog": ("blog", None), "": (None, None)}
    for path, (its_name, encoding) in expected.items():
        for target, status in (("/a.txt", 200), ("/nope", 404)):
            answer = await site.get(path + target, {"Accept-Encoding": "gzip"})
            assert (answer.status, answer.headers.get("x-site")) == (status, its_name)
            assert answer.headers.get("content-encoding") == (encoding if status == 200 else None)
