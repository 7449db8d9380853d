"""pip, pipenv, uv, poetry, pdm and curl, as they are, install and fetch through the gateway: in every mode of it."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import StartProcess
from tests.support.bucket import Bucket
from tests.support.cloudfront import Distribution
from tests.support.environments import environment
from tests.support.nightly import NIGHTLY, by_night
from tests.support.process import GatewayProcess, clean_environment
from tests.support.wheels import buildable_sdist, index_page, sdist, wheel

PROJECT = "teamlib"
DEPENDENCY = "commonlib"


MODES = ["file", "streamed", "redirected", "cloudfront", "generated", "generated-file"]


def slow_client(*modes: str) -> pytest.MarkDecorator:
    """What such a client makes of a stored page, of a generated one and of a redirect. All modes are for the night:
    the others differ from these in nothing but what pip, uv and curl see as well."""
    return pytest.mark.parametrize("served", MODES if NIGHTLY else modes, indirect=True)


@dataclass(frozen=True)
class Served:
    """A team's index in one mode, and another index that has what the team's depends on."""

    mode: str
    team: GatewayProcess
    team_url: str
    other_url: str

    @property
    def redirects(self) -> bool:
        return self.mode in ("redirected", "cloudfront")

    def refresh(self) -> None:
        """The team's gateway knows nothing of its storage any more, as after a start."""
        times = self.team.log.read_text().count(_REFRESHED)
        self.team.process.send_signal(signal.SIGHUP)
        _wait_until(lambda: self.team.log.read_text().count(_REFRESHED) > times)

    def lines(self, start: int) -> list[dict[str, Any]]:
        """The team's access log from line `start` on, once the line of a last request is there."""
        mark = f"/{uuid.uuid4().hex}"
        with pytest.raises(urllib.error.HTTPError) as absent:
            urllib.request.urlopen(f"{self.team_url}{mark}", timeout=20)
        absent.value.close()
        _wait_until(lambda: mark in self.team.access_log.read_text())
        return [json.loads(line) for line in self.team.access_log.read_text().splitlines()[start:]]


_REFRESHED = "listings"


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the other index, whose gateway is one for all modes of the team's."""
    root = tmp_path_factory.mktemp("common")
    settings = {"storage.dir": str(directory(root / "objects", common_objects()))}
    with stopping(GatewayProcess(root / "process", settings)) as process:
        yield process.wait_until_it_listens()


@pytest.fixture(scope="module", params=MODES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, common: str) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    files = dict([wheel(PROJECT, "1.2.0", [f"{DEPENDENCY}>=1"]), wheel(PROJECT, "1.1.0"), sdist(PROJECT, "1.0.0")])
    objects = {f"{PROJECT}/{name}": content for name, content in files.items()}
    objects[f"{PROJECT}/index.html"] = index_page(files)
    with contextlib.ExitStack() as stack:
        if request.param.startswith("generated"):
            del objects[f"{PROJECT}/index.html"]
        if request.param.endswith("file"):
            settings = {"storage.dir": str(directory(root / "objects", objects))}
        else:
            bucket = Bucket(request.getfixturevalue("seaweed"))
            for key, content in objects.items():
                bucket.put(key, content)  # without a content type, as uploads often are
            settings = bucket.settings(
                storage__redirect_urls=str(request.param in ("redirected", "cloudfront")).lower()
            )
        if request.param == "cloudfront":
            signing_key = ec.generate_private_key(ec.SECP256R1())
            distribution = stack.enter_context(Distribution(bucket, {"KEYID": signing_key.public_key()}))
            form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            settings |= {
                "storage.backend": "cloudfront",
                "storage.cloud_front_domain": distribution.domain,
                "storage.cloud_front_key_id": "KEYID",
                "storage.cloud_front_key_string": signing_key.private_bytes(serialization.Encoding.PEM, *form).decode(),
            }
        team = stack.enter_context(stopping(GatewayProcess(root / "team", settings | {"log.format": "json"})))
        yield Served(request.param, team, team.wait_until_it_listens(), common)


@contextlib.contextmanager
def stopping(process: GatewayProcess) -> Iterator[GatewayProcess]:
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def indexes(request: pytest.FixtureRequest, served: Served) -> Iterator[tuple[str, str]]:
    """URLs of the team's index, and of another that has what it depends on."""
    served.refresh()
    before = len(served.lines(0))
    yield served.team_url, served.other_url
    lines = served.lines(before)
    assert any(line["status"] == 302 for line in lines) == served.redirects
    if served.mode.startswith("generated") and request.function.__name__ in ("test_pip", "test_uv"):
        metadata = f"{PROJECT}-1.2.0-py3-none-any.whl.metadata"
        assert [line for line in lines if line["path"].endswith(metadata)]


def common_objects() -> dict[str, bytes]:
    common = dict([wheel(DEPENDENCY, "1.5.0")])
    files = {f"{DEPENDENCY}/{name}": content for name, content in common.items()}
    return {f"{DEPENDENCY}/index.html": index_page(common)} | files


def directory(root: Path, objects: dict[str, bytes]) -> Path:
    for key, content in objects.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(content)
    return root


Run = Callable[..., str]


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with nothing but pip."""
    return str(environment(tmp_path_factory.mktemp("python"), ["pip"]))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a client without anybody's configuration, cache or credentials."""
    home = tmp_path / "home"
    home.mkdir()

    def run(*command: str, cwd: Path = tmp_path, **environment: str) -> str:
        isolated = clean_environment(home) | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_CONFIG": "1",
        }
        del isolated["PYTHONWARNINGS"]
        found = subprocess.run(
            command, cwd=cwd, env=isolated | environment, capture_output=True, text=True, timeout=120
        )
        assert found.returncode == 0, f"{command}:\n{found.stdout}\n{found.stderr}"
        return found.stdout

    return run


def uv() -> str:
    found = shutil.which("uv", path=str(Path(sys.executable).parent))
    assert found is not None
    return found


def installed(target: Path) -> dict[str, str]:
    return {name: (target / f"{name}.py").read_text().partition('"')[2].rstrip('"\n') for name in (PROJECT, DEPENDENCY)}


EXPECTED = {PROJECT: "1.2.0", DEPENDENCY: "1.5.0"}


def test_pip(indexes: tuple[str, str], run: Run, python: str, tmp_path: Path) -> None:
    team, common = indexes
    target = tmp_path / "target"
    options = ["--disable-pip-version-check", "--no-input", "--target", str(target)]
    run(python, "-m", "pip", "install", "--index-url", team, "--extra-index-url", common, *options, PROJECT)
    assert installed(target) == EXPECTED


def test_pip_with_hashes(indexes: tuple[str, str], run: Run, python: str, tmp_path: Path) -> None:
    name, content = wheel(PROJECT, "1.1.0")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{PROJECT}==1.1.0 --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    options = ["--require-hashes", "--no-input", "--dest", str(tmp_path / "wheels")]
    run(python, "-m", "pip", "download", "--index-url", f"{indexes[0]}/", *options, "-r", str(requirements))
    assert (tmp_path / "wheels" / name).read_bytes() == content


def test_pip_fetches_an_sdist(indexes: tuple[str, str], tmp_path: Path, run: Run) -> None:
    name, content = sdist(PROJECT, "1.0.0")
    run("curl", "-sSfL", "-o", name, f"{indexes[0]}/{PROJECT}/{name}")
    assert (tmp_path / name).read_bytes() == content


def test_uv(indexes: tuple[str, str], run: Run, python: str, tmp_path: Path) -> None:
    team, common = indexes
    target = tmp_path / "target"
    run(
        *(uv(), "pip", "install", "--no-cache", "--python", python, "--target", str(target)),
        *("--default-index", team, "--index", common, "--index-strategy", "unsafe-best-match", PROJECT),
    )
    assert installed(target) == EXPECTED


@slow_client("generated")
def test_pipenv(indexes: tuple[str, str], run: Run, tmp_path: Path) -> None:
    team, common = indexes
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pipfile").write_text(
        f'[[source]]\nname = "team"\nurl = "{team}"\nverify_ssl = false\n\n'
        f'[[source]]\nname = "common"\nurl = "{common}"\nverify_ssl = false\n\n'
        f'[packages]\n{PROJECT} = {{version = "*", index = "team"}}\n'
        f'{DEPENDENCY} = {{version = "*", index = "common"}}\n'
    )
    variables = {"PIPENV_VENV_IN_PROJECT": "1", "PIPENV_NOSPIN": "1", "PIPENV_CACHE_DIR": str(tmp_path / "cache")}
    variables |= {"PIPENV_IGNORE_VIRTUALENVS": "1", "PIPENV_YES": "1"}
    environment(project / ".venv")
    run(sys.executable, "-m", "pipenv", "install", cwd=project, **variables)
    [packages] = (project / ".venv").glob("lib/python*/site-packages")
    assert installed(packages) == EXPECTED
    lock = json.loads((project / "Pipfile.lock").read_text())
    assert lock["default"][PROJECT]["index"] == "team"
    assert lock["default"][PROJECT]["hashes"]


@slow_client("cloudfront", "generated")
def test_poetry(indexes: tuple[str, str], run: Run, tmp_path: Path) -> None:
    team, common = indexes
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        f'[project]\nname = "application"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f'dependencies = ["{PROJECT}", "{DEPENDENCY}"]\n'
        f"[tool.poetry]\npackage-mode = false\n"
        f'[[tool.poetry.source]]\nname = "team"\nurl = "{team}"\npriority = "primary"\n'
        f'[[tool.poetry.source]]\nname = "common"\nurl = "{common}"\npriority = "supplemental"\n'
        # so that it sends an Authorization header, which must not hurt where a redirect leads
        f'[tool.poetry.dependencies]\n{PROJECT} = {{source = "team"}}\n{DEPENDENCY} = {{source = "common"}}\n'
    )
    variables = {
        "POETRY_VIRTUALENVS_IN_PROJECT": "true",
        "POETRY_CACHE_DIR": str(tmp_path / "cache"),
        "POETRY_HTTP_BASIC_TEAM_USERNAME": "user",
        "POETRY_HTTP_BASIC_TEAM_PASSWORD": "password",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    environment(project / ".venv")
    run(sys.executable, "-m", "poetry", "install", "--no-interaction", cwd=project, **variables)
    [packages] = (project / ".venv").glob("lib/python*/site-packages")
    assert installed(packages) == EXPECTED


@slow_client("redirected")
def test_pdm(indexes: tuple[str, str], run: Run, tmp_path: Path) -> None:
    team, common = indexes
    project = tmp_path / "project"
    project.mkdir()
    sources = "".join(
        f'[[tool.pdm.source]]\nname = "{name}"\nurl = "{url}"\nverify_ssl = false\ninclude_packages = ["{package}"]\n'
        for name, url, package in (("pypi", team, PROJECT), ("common", common, DEPENDENCY))
    )
    (project / "pyproject.toml").write_text(
        f'[project]\nname = "application"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f'dependencies = ["{PROJECT}", "{DEPENDENCY}"]\n[tool.pdm]\ndistribution = false\n{sources}'
    )
    variables = {"PDM_CHECK_UPDATE": "0", "PDM_CACHE_DIR": str(tmp_path / "cache"), "PDM_IGNORE_ACTIVE_VENV": "1"}
    environment(project / ".venv")
    run(sys.executable, "-m", "pdm", "lock", "-v", cwd=project, **variables)
    run(sys.executable, "-m", "pdm", "sync", "--venv", "in-project", cwd=project, **variables)
    assert "sha256:" in (project / "pdm.lock").read_text()
    [packages] = (project / ".venv").glob("lib/python*/site-packages")
    assert installed(packages) == EXPECTED


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_an_sdist_is_installed_with_its_hash_required(
    client: str, bucket: Bucket, start_process: StartProcess, run: Run, python: str, tmp_path: Path
) -> None:
    name, content = buildable_sdist(DEPENDENCY, "1.5.0")
    bucket.put(f"{DEPENDENCY}/{name}", content)
    url = start_process(bucket.settings()).wait_until_it_listens() + "/simple/"
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{DEPENDENCY}==1.5.0 --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    options = ["--require-hashes", "--target", str(tmp_path / "target"), "-r", str(requirements)]
    if client == "pip":
        run(python, "-m", "pip", "install", "--index-url", url, *options)
    else:
        run(uv(), "pip", "install", "--no-cache", "--python", python, "--default-index", url, *options)
    assert "1.5.0" in (tmp_path / "target" / f"{DEPENDENCY}.py").read_text()


def test_pip_installs_from_the_html_of_a_generated_page(
    bucket: Bucket, start_process: StartProcess, run: Run, python: str, tmp_path: Path
) -> None:
    name, content = wheel(DEPENDENCY, "1.5.0")
    bucket.put(f"{DEPENDENCY}/{name}", content)
    team = start_process(bucket.settings())
    page = f"{team.wait_until_it_listens()}/simple/{DEPENDENCY}/?format=text/html"
    target = tmp_path / "target"
    run(python, "-m", "pip", "install", "--no-index", "--find-links", page, "--target", str(target), DEPENDENCY)
    assert "1.5.0" in (target / f"{DEPENDENCY}.py").read_text()


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The public index's URL. It has what ours depends on, and a higher version of ours, which nobody may get."""
    root = tmp_path_factory.mktemp("public")
    objects = common_objects() | {f"{PROJECT}/{name}": content for name, content in [wheel(PROJECT, "99.0")]}
    settings = {"storage.dir": str(directory(root / "objects", objects))}
    with stopping(GatewayProcess(root / "process", settings)) as process:
        yield process.wait_until_it_listens() + "/simple/"


@pytest.mark.parametrize(
    ("mode", "client"),
    [
        ("redirect", "uv"),
        ("cache", "uv"),
        ("mirror", "pip"),
        *by_night(("redirect", "pip"), ("cache", "pip"), ("mirror", "uv")),
    ],
)
def test_one_index_for_ours_and_the_public_ones(
    mode: str,
    client: str,
    public: str,
    bucket: Bucket,
    start_process: StartProcess,
    run: Run,
    python: str,
    tmp_path: Path,
) -> None:
    name, content = wheel(PROJECT, "1.2.0", [f"{DEPENDENCY}>=1"])
    bucket.put(f"{PROJECT}/{name}", content)
    fallback = {"fallback.mode": mode, "fallback.base_url": public}
    url = start_process(bucket.settings() | fallback).wait_until_it_listens() + "/simple/"
    for attempt in ("first", "again"):
        target = tmp_path / attempt
        if client == "pip":
            command = [python, "-m", "pip", "install", "--index-url", url]
        else:
            command = [uv(), "pip", "install", "--no-cache", "--python", python, "--default-index", url]
        run(*command, "--target", str(target), PROJECT)
        assert installed(target) == EXPECTED
    keys = {item["Key"] for item in bucket.client.list_objects_v2(Bucket=bucket.name)["Contents"]}
    [(file, _)] = [wheel(DEPENDENCY, "1.5.0")]
    kept = {"redirect": set(), "cache": {f"{DEPENDENCY}/{file}"}, "mirror": {f".mirror/{DEPENDENCY}/{file}"}}[mode]
    assert keys == {f"{PROJECT}/{name}", *kept}


def test_curl(indexes: tuple[str, str], run: Run, tmp_path: Path) -> None:
    url = f"{indexes[0]}/{PROJECT}/{wheel(PROJECT, '1.2.0')[0]}"
    content = wheel(PROJECT, "1.2.0", [f"{DEPENDENCY}>=1"])[1]
    assert run("curl", "-sS", "--head", url).startswith("HTTP/1.1 200 OK")
    run("curl", "-sSfL", "-r", "10-19", "-o", "part", url)
    assert (tmp_path / "part").read_bytes() == content[10:20]
    (tmp_path / "resumed").write_bytes(content[:100])
    run("curl", "-sSfL", "-C", "-", "-o", "resumed", url)
    assert (tmp_path / "resumed").read_bytes() == content
    assert (
        run("curl", "-sSfL", "-w", "%{http_code} %{num_redirects}", "-o", "page", f"{indexes[0]}/{PROJECT}") == "200 1"
    )
    assert f"{PROJECT}-1.1.0-py3-none-any.whl".encode() in (tmp_path / "page").read_bytes()
