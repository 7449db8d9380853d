"""twine, uv, poetry, pdm, hatch, flit and curl, as they are, publish through a gateway into a bucket of SeaweedFS."""

import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import StartProcess
from tests.support.bucket import Bucket
from tests.support.nightly import NIGHTLY, by_night
from tests.support.process import GatewayProcess, clean_environment
from tests.support.wheels import sdist, wheel
from tests.support.workers import free_port

# twine, poetry, flit; uv, which has looked at the page; pdm.
_CONFLICT = "File already exists|file and index file do not match|409 Conflict|409 File"
_TOOLS = Path(sys.executable).parent
_PYPROJECT = """
[project]
name = "acme-web"
version = "{version}"
description = "{summary}"
requires-python = ">=3.9"
authors = [{{name = "A", email = "a@example.com"}}]
[build-system]
requires = ["flit_core >=3.2,<5"]
build-backend = "flit_core.buildapi"
"""


@dataclass(frozen=True)
class Published:
    """A gateway where bob may publish acme-*, and a project of his."""

    process: GatewayProcess
    url: str
    bucket: Bucket
    project: Path

    def build(self, summary: str = "of it") -> None:
        """Makes what is published, from the same sources."""
        name, version = "acme_web", "1.0"
        dist = self.project / "dist"
        dist.mkdir(exist_ok=True)
        (self.project / "pyproject.toml").write_text(_PYPROJECT.format(version=version, summary=summary))
        (self.project / "acme_web.py").write_text(f'"""{summary}"""\n')
        for file, content in (
            wheel(name, version, summary=summary),
            sdist(name, version, setup="# twine wants two files"),
        ):
            (dist / file).write_bytes(content)

    def run(self, *command: str, more: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        variables = clean_environment(self.project) | {"PYTHONWARNINGS": "", "SOURCE_DATE_EPOCH": "1700000000"}
        variables["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
        variables["PATH"] = f"{_TOOLS}{os.pathsep}{variables['PATH']}"
        return subprocess.run(
            command,
            cwd=self.project,
            env=variables | dict(more or {}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def files(self) -> dict[str, str]:
        """The SHA-256 of each file on the project's page."""
        accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/simple/acme-web/", headers=accept)) as answer:
            return {file["filename"]: file["hashes"]["sha256"] for file in json.load(answer)["files"]}


@pytest.fixture
def published(start_process: StartProcess, bucket: Bucket, tmp_path: Path) -> Published:
    settings = {
        "publish.enabled": "true",
        "access.authenticators": "tests.support.people:People",
        "access.default_read": "everyone",
        "access.rules": '[{projects: "acme-*", write: [group:release]}]',
        "server.workers": "2",
    }
    settings["server.port"] = str(free_port())
    process = start_process(bucket.settings() | settings)
    url = process.wait_until_it_listens()
    project = tmp_path / "project"
    project.mkdir()
    made = Published(process, url, bucket, project)
    made.build()
    return made


def twine(at: Published, user: str = "bob", command: str = "twine") -> "subprocess.CompletedProcess[str]":
    files = map(str, sorted(at.project.glob("dist/*")))
    where = "--repository-url", f"{at.url}/legacy/", "-u", user, "-p", f"pw-{user}"
    return at.run(command, "upload", "--verbose", *where, *files)


def uv(at: Published, user: str = "bob") -> "subprocess.CompletedProcess[str]":
    return at.run("uv", "publish", "--no-cache", "-u", user, "-p", f"pw-{user}", "--publish-url", f"{at.url}/legacy/",
                  "--check-url", f"{at.url}/simple/", "dist/*")  # fmt: skip


def poetry(at: Published, user: str = "bob", more: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    variables = {"POETRY_REPOSITORIES_ACME_URL": f"{at.url}/legacy/", "POETRY_VIRTUALENVS_CREATE": "false"}
    return at.run("poetry", "publish", "-r", "acme", "-u", user, "-p", f"pw-{user}", *more, more=variables)


def pdm(at: Published, user: str = "bob", more: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    return at.run("pdm", "publish", "--no-build", "-r", f"{at.url}/legacy/", "-u", user, "-P", f"pw-{user}", *more,
                  more={"PDM_CHECK_UPDATE": "0"})  # fmt: skip


def hatch(at: Published, user: str = "bob") -> "subprocess.CompletedProcess[str]":
    return at.run("hatch", "publish", "-n", "-r", f"{at.url}/legacy/", "-u", user, "-a", f"pw-{user}")


def flit(at: Published, user: str = "bob") -> "subprocess.CompletedProcess[str]":
    more = {"FLIT_USERNAME": user, "FLIT_PASSWORD": f"pw-{user}", "FLIT_INDEX_URL": f"{at.url}/legacy/"}
    return at.run("flit", "publish", more=more)


def older_twine(version: str) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """As it is on PyPI."""

    def run(at: Published, user: str = "bob") -> "subprocess.CompletedProcess[str]":
        made = at.project.parent / f"twine-{version}"
        if not made.exists():
            for command in ("venv", made), ("pip", "install", "--python", made, f"twine=={version}"):
                subprocess.run(["uv", *command, "--quiet"], check=True)
        return twine(at, user, str(made / "bin" / "twine"))

    return run


CLIENTS: list[Callable[..., "subprocess.CompletedProcess[str]"]] = [twine, uv, poetry, pdm, hatch, flit]
OLDER = ["5.1.1", "6.1.0"] if NIGHTLY else []  # these come from PyPI


@pytest.mark.parametrize("client", CLIENTS + [older_twine(version) for version in OLDER])
def test_it_publishes_once_and_again_and_is_told_of_a_conflict(
    published: Published, client: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    first = client(published)
    assert first.returncode == 0, first.stdout + first.stderr
    files = published.files()
    assert sorted(files) == ["acme_web-1.0-py3-none-any.whl", "acme_web-1.0.tar.gz"]
    for name, digest in files.items():
        stored = published.bucket.client.get_object(Bucket=published.bucket.name, Key=f"acme-web/{name}")
        assert hashlib.sha256(stored["Body"].read()).hexdigest() == digest
        assert stored["Metadata"]["uploader"] == "bob"
    again = client(published)
    assert again.returncode == 0, again.stdout + again.stderr
    published.build("of another")
    if client is not hatch:  # which looks only at names
        other = client(published)
        assert other.returncode != 0
        assert re.search(_CONFLICT, " ".join((other.stdout + other.stderr).split()))
    assert published.files() == files


@pytest.mark.parametrize("client", [poetry, *by_night(pdm)])
def test_it_can_pass_over_what_exists(
    published: Published, client: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    assert client(published).returncode == 0
    files = published.files()
    published.build("of another")
    passed = client(published, more=("--skip-existing",))
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert published.files() == files


def test_twine_says_why_somebody_may_not_publish(published: Published) -> None:
    refused = twine(published, "alice")
    assert refused.returncode == 1
    assert "403 You may not do this" in " ".join((refused.stdout + refused.stderr).split())
    wrong = published.run(
        "twine", "upload", "-u", "bob", "-p", "x", "--repository-url", published.url, "dist/acme_web-1.0.tar.gz"
    )
    assert "These credentials are wrong" in " ".join((wrong.stdout + wrong.stderr).split())


def test_curl_publishes(published: Published) -> None:
    file, content = wheel("acme_web", "2.0")
    (published.project / file).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    form = "-F", f"sha256_digest={digest}", "-F", f"content=@{file}"
    told = published.run("curl", "-sS", "-u", "bob:pw-bob", *form, f"{published.url}/")
    assert told.stdout == f"{file} is published\n"
    assert published.files()[file] == digest
