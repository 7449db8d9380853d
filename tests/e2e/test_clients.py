"""pip, pipenv, uv, poetry, pdm and curl, as they are, install and fetch through the gateway: in every mode of it."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import StartProcess
from tests.support.bucket import Bucket
from tests.support.cloudfront import Distribution
from tests.support.process import clean_environment
from tests.support.wheels import buildable_sdist, index_page, sdist, wheel

PROJECT = "teamlib"
DEPENDENCY = "commonlib"


@pytest.fixture(params=["file", "streamed", "redirected", "cloudfront", "generated", "generated-file"])
def indexes(request: pytest.FixtureRequest, start_process: StartProcess, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URLs of the team's index, and of another that has what it depends on."""
    files = dict([wheel(PROJECT, "1.2.0", [f"{DEPENDENCY}>=1"]), wheel(PROJECT, "1.1.0"), sdist(PROJECT, "1.0.0")])
    objects = {f"{PROJECT}/{name}": content for name, content in files.items()}
    objects[f"{PROJECT}/index.html"] = index_page(files)
    with contextlib.ExitStack() as stack:
        if request.param.startswith("generated"):
            del objects[f"{PROJECT}/index.html"]
        if request.param.endswith("file"):
            settings = {"storage.dir": str(directory(tmp_path / "team", objects))}
        else:
            bucket: Bucket = request.getfixturevalue("bucket")
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
        team = start_process(settings | {"log.format": "json"})
        other = start_process({"storage.dir": str(directory(tmp_path / "common", common_objects()))})
        yield team.wait_until_it_listens(), other.wait_until_it_listens()
        team.stop()  # so that its log is whole
        redirected = '"status": 302' in team.access_log.read_text()
        assert redirected == (request.param in ("redirected", "cloudfront"))
        if request.param.startswith("generated") and request.function.__name__ in ("test_pip", "test_uv"):
            asked = [json.loads(line)["path"] for line in team.access_log.read_text().splitlines()]
            assert [path for path in asked if path.endswith(f"{PROJECT}-1.2.0-py3-none-any.whl.metadata")]


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


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a client without anybody's configuration, cache or credentials."""
    home = tmp_path / "home"
    home.mkdir()

    def run(*command: str, cwd: Path = tmp_path, **environment: str) -> str:
        isolated = clean_environment(home) | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
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


def test_pip(indexes: tuple[str, str], run: Run, tmp_path: Path) -> None:
    team, common = indexes
    target = tmp_path / "target"
    options = ["--disable-pip-version-check", "--no-input", "--target", str(target)]
    run(sys.executable, "-m", "pip", "install", "--index-url", team, "--extra-index-url", common, *options, PROJECT)
    assert installed(target) == EXPECTED


def test_pip_with_hashes(indexes: tuple[str, str], run: Run, tmp_path: Path) -> None:
    name, content = wheel(PROJECT, "1.1.0")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{PROJECT}==1.1.0 --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    options = ["--require-hashes", "--no-input", "--dest", str(tmp_path / "wheels")]
    run(sys.executable, "-m", "pip", "download", "--index-url", f"{indexes[0]}/", *options, "-r", str(requirements))
    assert (tmp_path / "wheels" / name).read_bytes() == content


def test_pip_fetches_an_sdist(indexes: tuple[str, str], tmp_path: Path, run: Run) -> None:
    name, content = sdist(PROJECT, "1.0.0")
    run("curl", "-sSfL", "-o", name, f"{indexes[0]}/{PROJECT}/{name}")
    assert (tmp_path / name).read_bytes() == content


def test_uv(indexes: tuple[str, str], run: Run, tmp_path: Path) -> None:
    team, common = indexes
    target = tmp_path / "target"
    run(
        *(uv(), "pip", "install", "--no-cache", "--python", sys.executable, "--target", str(target)),
        *("--default-index", team, "--index", common, "--index-strategy", "unsafe-best-match", PROJECT),
    )
    assert installed(target) == EXPECTED


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
    environment = {"PIPENV_VENV_IN_PROJECT": "1", "PIPENV_NOSPIN": "1", "PIPENV_CACHE_DIR": str(tmp_path / "cache")}
    environment |= {"PIPENV_IGNORE_VIRTUALENVS": "1", "PIPENV_YES": "1"}
    # --no-deps of its venv: pip, setuptools and wheel come from virtualenv's own wheels, not from an index
    run(sys.executable, "-m", "pipenv", "--python", sys.executable, "install", cwd=project, **environment)
    [packages] = (project / ".venv").glob("lib/python*/site-packages")
    assert installed(packages) == EXPECTED
    lock = json.loads((project / "Pipfile.lock").read_text())
    assert lock["default"][PROJECT]["index"] == "team"
    assert lock["default"][PROJECT]["hashes"]


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
    environment = {
        "POETRY_VIRTUALENVS_IN_PROJECT": "true",
        "POETRY_CACHE_DIR": str(tmp_path / "cache"),
        "POETRY_HTTP_BASIC_TEAM_USERNAME": "user",
        "POETRY_HTTP_BASIC_TEAM_PASSWORD": "password",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    run(sys.executable, "-m", "poetry", "install", "--no-interaction", cwd=project, **environment)
    [packages] = (project / ".venv").glob("lib/python*/site-packages")
    assert installed(packages) == EXPECTED


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
    environment = {"PDM_CHECK_UPDATE": "0", "PDM_CACHE_DIR": str(tmp_path / "cache"), "PDM_IGNORE_ACTIVE_VENV": "1"}
    run(sys.executable, "-m", "pdm", "venv", "create", sys.executable, cwd=project, **environment)
    run(sys.executable, "-m", "pdm", "lock", "-v", cwd=project, **environment)
    run(sys.executable, "-m", "pdm", "sync", "--venv", "in-project", cwd=project, **environment)
    assert "sha256:" in (project / "pdm.lock").read_text()
    [packages] = (project / ".venv").glob("lib/python*/site-packages")
    assert installed(packages) == EXPECTED


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_an_sdist_is_installed_with_its_hash_required(
    client: str, bucket: Bucket, start_process: StartProcess, run: Run, tmp_path: Path
) -> None:
    name, content = buildable_sdist(DEPENDENCY, "1.5.0")
    bucket.put(f"{DEPENDENCY}/{name}", content)
    url = start_process(bucket.settings()).wait_until_it_listens() + "/simple/"
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{DEPENDENCY}==1.5.0 --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    options = ["--require-hashes", "--target", str(tmp_path / "target"), "-r", str(requirements)]
    if client == "pip":
        run(sys.executable, "-m", "pip", "install", "--index-url", url, *options)
    else:
        run(uv(), "pip", "install", "--no-cache", "--python", sys.executable, "--default-index", url, *options)
    assert "1.5.0" in (tmp_path / "target" / f"{DEPENDENCY}.py").read_text()


def test_pip_installs_from_the_html_of_a_generated_page(
    bucket: Bucket, start_process: StartProcess, run: Run, tmp_path: Path
) -> None:
    name, content = wheel(DEPENDENCY, "1.5.0")
    bucket.put(f"{DEPENDENCY}/{name}", content)
    team = start_process(bucket.settings())
    page = f"{team.wait_until_it_listens()}/simple/{DEPENDENCY}/?format=text/html"
    target = tmp_path / "target"
    run(sys.executable, "-m", "pip", "install", "--no-index", "--find-links", page, "--target", str(target), DEPENDENCY)
    assert "1.5.0" in (target / f"{DEPENDENCY}.py").read_text()


@pytest.mark.parametrize("client", ["pip", "uv"])
@pytest.mark.parametrize("mode", ["redirect", "cache", "mirror"])
def test_one_index_for_ours_and_the_public_ones(
    mode: str, client: str, bucket: Bucket, start_process: StartProcess, run: Run, tmp_path: Path
) -> None:
    """The public index has what ours depends on, and a higher version of ours, which nobody may get."""
    wrong = dict([wheel(PROJECT, "99.0")])
    objects = common_objects() | {f"{PROJECT}/{name}": content for name, content in wrong.items()}
    public = start_process({"storage.dir": str(directory(tmp_path / "public", objects))})
    name, content = wheel(PROJECT, "1.2.0", [f"{DEPENDENCY}>=1"])
    bucket.put(f"{PROJECT}/{name}", content)
    fallback = {"fallback.mode": mode, "fallback.base_url": public.wait_until_it_listens() + "/simple/"}
    url = start_process(bucket.settings() | fallback).wait_until_it_listens() + "/simple/"
    for attempt in ("first", "again"):
        target = tmp_path / attempt
        if client == "pip":
            command = [sys.executable, "-m", "pip", "install", "--index-url", url]
        else:
            command = [uv(), "pip", "install", "--no-cache", "--python", sys.executable, "--default-index", url]
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
