"""Several mounts behind one listener: each has its own storage, index, access and uploads."""

import asyncio
import copy
import json
import re
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.config.load import load
from gateway.ops.mark import Marks
from gateway.ops.output import STDOUT
from tests.access.test_gate import basic
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.http import fetch
from tests.support.uploads import upload
from tests.support.wheels import wheel

JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
HTML = {"Accept": "application/vnd.pypi.simple.v1+html"}
TWO = """
storage: {dir: DIR/main}
mounts:
- {name: team-b, path: /team-b, storage: {dir: DIR/b}}
"""
HOSTS = """
storage: {dir: DIR/main}
mounts:
- {name: team-b, host: b.example.org, storage: {dir: DIR/b}}
- {name: rest, host: '*.example.org', path: /c, storage: {dir: DIR/c}}
"""


def put(directory: Path, project: str, version: str) -> str:
    name, content = wheel(project, version)
    (directory / project).mkdir(parents=True, exist_ok=True)
    (directory / project / name).write_bytes(content)
    return f"{project}/{name}"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The keys of one wheel in each of three directories."""
    return {name: put(tmp_path / name, f"of-{name}".replace("-", "_"), "1.0") for name in ("main", "b", "c")}


def configure(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text.replace("DIR", str(tmp_path)))


async def get(
    gateway: Gateway, target: str, headers: dict[str, str] | None = None, host: str = ""
) -> tuple[int, str, str]:
    """Status, body and Location."""
    sent = {"Accept": HTML["Accept"]} | (headers or {}) | ({"Host": host} if host else {})
    async with aiohttp.request("GET", gateway.url + target, headers=sent, allow_redirects=False) as answer:
        return answer.status, await answer.text("utf-8", "replace"), answer.headers.get("Location", "")


async def status(gateway: Gateway, target: str, headers: dict[str, str] | None = None, host: str = "") -> int:
    return (await get(gateway, target, headers, host))[0]


async def test_each_mount_has_its_own_projects(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, TWO)
    gateway = await start_gateway({})
    for prefix, mine, other in (("", "main", "b"), ("/team-b", "b", "main")):
        for page in ("/", "/simple/"):
            code, text, _ = await get(gateway, prefix + page)
            assert (code, f"of-{mine}" in text, f"of-{other}" in text) == (200, True, False)
        code, text, _ = await get(gateway, f"{prefix}/simple/of-{mine}/")
        link = re.findall(r'href="([^"#]+)', text)
        assert (code, [part.rpartition("/")[2] for part in link]) == (200, [files[mine].rpartition("/")[2]])
        async with aiohttp.request("GET", f"{gateway.url}{prefix}/{files[mine]}") as answer:
            assert await answer.read() == (tmp_path / mine / files[mine]).read_bytes()
        for target in (f"/simple/of-{other}/", f"/of-{other}/", f"/{files[other]}", f"/{files[other]}.metadata"):
            assert await status(gateway, prefix + target) == 404
    assert await status(gateway, f"/team-b/{files['b']}.metadata") == 200
    found = json.loads((await get(gateway, "/team-b/simple/", JSON))[1])
    assert [project["name"] for project in found["projects"]] == ["of-b"]


async def test_a_link_of_a_page_leads_into_its_mount(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, TWO)
    gateway = await start_gateway({})
    for accept in (HTML["Accept"], "text/html,application/xhtml+xml"):
        page = "/team-b/simple/of-b/" if accept == HTML["Accept"] else "/team-b/of-b/"
        _, text, _ = await get(gateway, page, {"Accept": accept})
        (link,) = {found for found in re.findall(r'href="([^"#]+)', text) if found.endswith(".whl")}
        assert urljoin(gateway.url + page, link) == f"{gateway.url}/team-b/{files['b']}"


async def test_the_path_of_a_mount_leads_to_its_page(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, TWO)
    gateway = await start_gateway({})
    code, _, location = await get(gateway, "/team-b?x=1")
    assert (code, location) == (301, "./team-b/?x=1")
    assert await status(gateway, "/team-bb/") == 404


async def test_a_mount_is_found_by_its_host(start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]) -> None:
    configure(tmp_path, HOSTS)
    gateway = await start_gateway({})
    for host, path, shown in (
        ("b.example.org", "/", "b"),
        ("B.EXAMPLE.org.:8080", "/", "b"),
        ("b.example.org", "/c/", ""),
        ("x.example.org", "/c/", "c"),
        ("x.example.org", "/", "main"),
        ("other.org", "/", "main"),
        ("", "/", "main"),
    ):
        code, text, _ = await get(gateway, path, host=host)
        assert [name for name in ("main", "b", "c") if f"of-{name}<" in text] == ([shown] if shown else []), host + path
        assert code == (200 if shown else 404)
    absolute = f"http://b.example.org/{files['b']}"  # its host counts in place of the header's
    assert (await fetch(int(gateway.url.rpartition(":")[2]), absolute)).status == 200


async def test_without_a_default_what_is_below_no_mount_is_not_found(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, "mounts: [{name: team-b, path: /team-b, storage: {dir: DIR/b}}]")
    gateway = await start_gateway({"ops.admin_token": "t" * 32})
    found = {target: await status(gateway, target) for target in ("/", "/simple/", "/team-b/", "/health", "/ready")}
    assert found == {"/": 404, "/simple/": 404, "/team-b/": 200, "/health": 200, "/ready": 200}
    headers = {"Authorization": f"Bearer {'t' * 32}"}
    async with aiohttp.request("POST", gateway.url + "/-/refresh", headers=headers) as refreshed:
        assert refreshed.status == 200


async def test_rules_of_a_mount_are_its_own(start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]) -> None:
    people = "authenticators: [tests.support.people:People]"
    configure(
        tmp_path,
        TWO.replace("mounts:", f"access: {{{people}}}\nmounts:").replace(
            "DIR/b}}", "DIR/b}, access: {default_read: ['user:bob']}}"
        ),
    )
    gateway = await start_gateway({})
    for prefix, name in (("", "main"), ("/team-b", "b")):
        for target in ("/simple/", f"/simple/of-{name}/", f"/{files[name]}"):
            codes = [await status(gateway, prefix + target, who) for who in (basic("alice"), basic("bob"), {})]
            assert codes == ([200, 200, 401] if name == "main" else [403, 200, 401]), prefix + target
    # What one may not see at a mount, the other does not tell.
    assert "of-b" not in (await get(gateway, "/simple/", basic("alice")))[1]


async def test_a_reply_is_kept_for_one_mount(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, HOSTS)
    gateway = await start_gateway({"cache.memory_bytes": "16MB"})
    for _ in range(3):
        for host, name in (("b.example.org", "b"), ("other.org", "main")):
            assert f"of-{name}<" in (await get(gateway, "/simple/", host=host))[1]


async def test_what_is_uploaded_at_a_mount_lies_there(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, TWO)
    gateway = await start_gateway({"publish.enabled": "true", "publish.allow_anonymous": "true"})
    name, content = wheel("acme", "2.0")
    assert (await upload(gateway.url + "/team-b", name, content))[0] == 200
    assert (tmp_path / "b" / "acme" / name).read_bytes() == content
    assert not (tmp_path / "main" / "acme").exists()
    assert name in (await get(gateway, "/team-b/simple/acme/"))[1]
    assert await status(gateway, "/simple/acme/") == 404


async def test_the_logs_and_the_metrics_name_the_mount(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path, TWO)
    gateway = await start_gateway({"log.access": "true", "log.format": "json"})
    for target in ("/simple/", "/team-b/simple/", "/team-b/simple/", "/health"):
        await get(gateway, target)
    metrics = gateway.metrics.render().decode()
    for mount, count in (("default", 1), ("team-b", 2)):
        line = f'gateway_requests_total{{method="GET",mount="{mount}",route="index",status="200"}} {count}.0'
        assert line in metrics
    STDOUT.flush(20)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["mount"] for line in lines] == ["default", "team-b", "team-b", ""]


async def test_an_outage_of_one_mount_is_its_own(
    start_gateway: StartGateway,
    tmp_path: Path,
    files: dict[str, str],
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
) -> None:
    storage = {name.removeprefix("storage."): value for name, value in faulty_settings.items()}
    configure(tmp_path, TWO.replace("{dir: DIR/b}", json.dumps(storage | {"read_timeout": 60})))
    gateway = await start_gateway({"ops.ready_ttl": "0"})
    hang = asyncio.Event()

    async def hanging(answer: faults.Answer) -> None:
        await hang.wait()

    faulty.then(*[hanging] * 200)
    waiting = [asyncio.create_task(status(gateway, f"/team-b/x{number}.whl")) for number in range(100)]
    await eventually(lambda: gateway.metrics.in_flight >= 50)
    async with asyncio.timeout(2):
        assert await status(gateway, f"/{files['main']}") == 200
        assert await status(gateway, "/simple/") == 200
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    hang.set()


async def test_the_fallback_is_that_of_the_mount(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(
        tmp_path,
        TWO.replace("DIR/b}}", "DIR/b}, fallback: {mode: redirect, base_url: 'https://pypi.example/simple/'}}"),
    )
    gateway = await start_gateway({})
    assert await status(gateway, "/simple/other/") == 404
    code, _, location = await get(gateway, "/team-b/simple/other/")
    assert (code, location) == (302, "https://pypi.example/simple/other/")


async def test_what_one_worker_hears_of_a_mount_the_others_do(tmp_path: Path, files: dict[str, str]) -> None:
    configure(tmp_path, TWO)
    marks = Marks()
    forked = Marks(copy.copy(marks.projects), copy.copy(marks.objects))  # the same memory, seen from another process
    settings = load({"server.port": "0", "log.access": "false", "index.refresh": "9999"}, environ={}, cwd=tmp_path)
    workers = [Gateway(settings, marks), Gateway(settings, forked)]
    try:
        for worker in workers:
            await worker.start()
            for page in ("/team-b/simple/", "/simple/"):
                assert await status(worker, page) == 200
        put(tmp_path / "b", "fresh", "1.0")
        put(tmp_path / "main", "fresh", "1.0")
        workers[0].mounts.refresh_all(mount="team-b")
        for worker in workers:
            assert "fresh" in (await get(worker, "/team-b/simple/"))[1]
            assert "fresh" not in (await get(worker, "/simple/"))[1], "the other mount was not told"
        workers[1].refresh_all()
        for worker in workers:
            assert "fresh" in (await get(worker, "/simple/"))[1]
    finally:
        for worker in workers:
            await worker.stop()
