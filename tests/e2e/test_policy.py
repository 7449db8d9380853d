"""pip, uv, poetry, pdm and people's browsers at a gateway whose policy withholds releases of the other index."""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser

from gateway.app import Gateway
from gateway.index.screening.screened_index import ScreenedIndex
from gateway.index.screening.stored_exceptions import StoredExceptions
from gateway.policy.exceptions import PolicyException
from tests.conftest import StartGateway
from tests.e2e.test_browser import CHROMIUM, CONTRAST, PHONE, WIDE, browser, open_page
from tests.e2e.test_clients import uv
from tests.index.screening.test_screen import BROWSER, DAY, NOW, Clock, clock, get, started, time
from tests.support.environments import environment
from tests.support.nightly import by_night
from tests.support.process import clean_environment
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

__all__ = ["browser", "clock"]  # the fixtures
# The versions, and the days since they came out.
AGES: dict[str, int | None] = {"1.0": 900, "1.1": 30, "1.2": 1, "1.3": None, "1.4": 300}
FILES = {version: wheel("public_lib", version) for version in AGES}
RULE = "{projects: [public-lib], versions: ==1.4, verdict: deny, reason: 'it steals keys, see SEC-12'}"
HELD = "Held until 2027-01-21 08:00 UTC: it has not been out for 7 days yet"
DENIED = "Denied: it steals keys, see SEC-12"
NEWEST = "1.1"

Run = Callable[..., Awaitable[str]]


@pytest.fixture
async def public() -> AsyncIterator[PublicIndex]:
    index = PublicIndex()
    index.projects = {"public-lib": dict(FILES.values())}
    for version, age in AGES.items():
        index.fields[FILES[version][0]] = {"upload-time": time(-age) if age is not None else None}
    async with index.running():
        yield index


@pytest.fixture
async def gateway(
    start_gateway: StartGateway, public: PublicIndex, faulty_settings: dict[str, str], clock: Clock
) -> Gateway:
    mirror = {"fallback.base_url": public.url, "fallback.mode": "mirror"}
    policy = {"policy.min_age": "7d", "policy.rules": f"[{RULE}]"}
    return await started(start_gateway, faulty_settings | mirror | policy, clock)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with nothing but pip."""
    return str(environment(tmp_path_factory.mktemp("python"), ["pip"]))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a client without anybody's configuration or cache, and tells what it said; it fails if it is to."""
    home = tmp_path / "home"
    home.mkdir()

    async def run(*command: str, fails: bool = False, **environment: str) -> str:
        isolated = clean_environment(home) | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_CACHE": "1",
            "POETRY_VIRTUALENVS_CREATE": "false",
            "POETRY_CACHE_DIR": str(tmp_path / "cache"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "PDM_CHECK_UPDATE": "0",
            "PDM_CACHE_DIR": str(tmp_path / "cache"),
            "PDM_IGNORE_ACTIVE_VENV": "1",
        }
        del isolated["PYTHONWARNINGS"]
        found = await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=tmp_path,
            env=isolated | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (found.returncode != 0) == fails, f"{command}:\n{found.stdout}\n{found.stderr}"
        return found.stdout + found.stderr

    return run


def installer(client: str, python: str, gateway: Gateway, target: Path) -> list[str]:
    index, into = f"{gateway.url}/simple/", ["--target", str(target)]
    if client == "pip":
        return [python, "-m", "pip", "install", "--no-input", "--index-url", index, *into]
    return [uv(), "pip", "install", "--python", python, "--default-index", index, *into]


def installed(target: Path) -> str | None:
    file = target / "public_lib.py"
    return file.read_text().partition('"')[2].rstrip('"\n') if file.exists() else None


def projects(directory: Path, gateway: Gateway) -> None:
    """A pyproject.toml for uv, poetry and pdm."""
    index = f"{gateway.url}/simple/"
    (directory / "pyproject.toml").write_text(
        '[project]\nname = "application"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["public-lib"]\n'
        f'[[tool.uv.index]]\nname = "team"\nurl = "{index}"\ndefault = true\n'
        f'[tool.poetry]\npackage-mode = false\n[[tool.poetry.source]]\nname = "team"\nurl = "{index}"\n'
        f'[tool.pdm]\ndistribution = false\n[[tool.pdm.source]]\nname = "pypi"\nurl = "{index}"\nverify_ssl = false\n'
    )


async def except_from_policy(gateway: Gateway, *exceptions: PolicyException) -> None:
    """As `gateway policy allow` and `revoke` do; the gateway knows it at once."""
    await StoredExceptions(gateway.storage, "").change(lambda _: exceptions)
    assert gateway.mount.fallback is not None
    index = gateway.mount.fallback.upstream
    assert isinstance(index, ScreenedIndex)
    await index.screen.exceptions.read()


@pytest.mark.parametrize("client", ["pip", "uv"])
async def test_the_newest_that_is_allowed_is_installed(
    client: str, gateway: Gateway, run: Run, python: str, tmp_path: Path
) -> None:
    await run(*installer(client, python, gateway, tmp_path / "target"), "public-lib")
    assert installed(tmp_path / "target") == NEWEST


@pytest.mark.parametrize(
    ("lock", "file"),
    [
        (["uv"], "uv.lock"),
        *by_night((["poetry", "lock", "--no-interaction"], "poetry.lock"), (["pdm", "lock"], "pdm.lock")),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
async def test_the_newest_that_is_allowed_is_locked(
    lock: list[str], file: str, gateway: Gateway, run: Run, python: str, tmp_path: Path
) -> None:
    projects(tmp_path, gateway)
    if lock == ["uv"]:
        await run(uv(), "lock", "--python", python)
    else:
        environment(tmp_path / ".venv")
        await run(sys.executable, "-m", *lock)
    assert f'name = "public-lib"\nversion = "{NEWEST}"' in (tmp_path / file).read_text()


@pytest.mark.parametrize(("days", "version"), [(0, NEWEST), (60, "1.0")])
async def test_what_uv_excludes_is_excluded_as_well(
    days: int, version: str, gateway: Gateway, run: Run, python: str, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    await run(*installer("uv", python, gateway, target), "--exclude-newer", time(-days), "public-lib")
    assert installed(target) == version


@pytest.mark.parametrize("client", ["pip", "uv"])
async def test_a_release_with_its_hash_is_installed_when_its_day_comes(
    client: str, gateway: Gateway, clock: Clock, run: Run, python: str, tmp_path: Path
) -> None:
    (tmp_path / "held.txt").write_text(pinned("1.2"))
    (tmp_path / "denied.txt").write_text(pinned("1.4"))
    target = tmp_path / "target"
    install = [*installer(client, python, gateway, target), "--require-hashes", "-r"]
    said = await run(*install, "held.txt", fails=True)
    assert "public-lib==1.2" in said
    assert installed(target) is None
    if client == "pip":  # the project's page there tells why
        assert f"Looking in indexes: {gateway.url}/simple/" in said
        assert "(from versions: 1.0, 1.1)" in said
    page = (await get(gateway, "/simple/public-lib/", accept=BROWSER)).body.decode()
    assert f"public_lib-1.2-py3-none-any.whl {HELD.replace('Held', 'is held')}" in page
    clock.now += 6 * DAY
    await run(*install, "held.txt")
    assert installed(target) == "1.2"
    if client == "uv":  # which is the faster one
        assert "public-lib==1.4" in await run(*install, "denied.txt", fails=True)
        assert installed(target) == "1.2"


def pinned(version: str) -> str:
    return f"public-lib=={version} --hash=sha256:{hashlib.sha256(FILES[version][1]).hexdigest()}\n"


@pytest.mark.parametrize(("version", "reason"), [("1.2", HELD), *by_night(("1.4", DENIED))])
async def test_a_client_that_asks_for_the_file_shows_the_reason(
    version: str, reason: str, gateway: Gateway, run: Run, python: str, tmp_path: Path
) -> None:
    requirement = f"public-lib @ {gateway.url}/public-lib/{FILES[version][0]}"
    for client in ("pip", "uv"):
        said = await run(*installer(client, python, gateway, tmp_path / client), requirement, fails=True)
        assert reason in said
        assert installed(tmp_path / client) is None


async def test_a_lock_file_whose_release_is_withheld_since_says_so(
    gateway: Gateway, run: Run, python: str, tmp_path: Path
) -> None:
    projects(tmp_path, gateway)
    denied = PolicyException("public-lib", "==1.4", NOW + DAY, "we read it", "ann", NOW)
    await except_from_policy(gateway, denied)
    await run(uv(), "lock", "--python", python)
    assert FILES["1.4"][0] in (tmp_path / "uv.lock").read_text()
    await except_from_policy(gateway)
    assert DENIED in await run(uv(), "sync", "--frozen", "--python", python, fails=True)
    await except_from_policy(gateway, denied)
    assert "public-lib==1.4" in await run(uv(), "sync", "--frozen", "--python", python)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
async def test_people_can_read_what_is_withheld(browser: Browser, gateway: Gateway) -> None:
    for theme, size in (("light", PHONE), ("dark", WIDE)):
        page = await open_page(browser, gateway, theme, size)
        for path in ("/public-lib/", "/-/policy"):
            await page.goto(gateway.url + path)
            if path == "/public-lib/":
                await page.get_by_text("Withheld by the policy").click()
            text = await page.locator("body").inner_text()
            for reason in ("is held until 2027-01-21 08:00 UTC: it has not been out", "is denied: it steals keys"):
                assert reason in " ".join(text.split()), path
            assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"], "nothing to scroll to"
            for selector in ("body", "a", "h2", "li", "td", "code", ".quiet", ".yanked", ".badge"):
                if await page.locator(selector).count():
                    assert await page.evaluate(CONTRAST, selector) >= 4.5, (path, selector)
