"""pip, uv, poetry and curl log in, as they are, by each of the ways that they have."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest

from gateway.access.tokens.keys import HmacKey
from gateway.access.tokens.token import Claims, issue
from gateway.principal import Right, Scope
from tests.e2e.test_clients import uv
from tests.support.environments import environment
from tests.support.process import GatewayProcess, clean_environment
from tests.support.wheels import wheel

KEY = "k" * 40
SECRET, OPEN = "secretlib", "openlib"


@dataclass(frozen=True)
class Team:
    """A gateway with two workers: `alice` may install what is secret, `bob` may not, everybody may what is open."""

    process: GatewayProcess
    host: str  # without its scheme

    def url(self, credentials: str = "") -> str:
        return f"http://{credentials}{'@' * bool(credentials)}{self.host}/simple/"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    directory = tmp_path_factory.mktemp("team")
    for name in (SECRET, OPEN):
        file, content = wheel(name, "1.0")
        (directory / "packages" / name).mkdir(parents=True)
        (directory / "packages" / name / file).write_bytes(content)
    hashes = {name: bcrypt.hashpw(f"pw-{name}".encode(), bcrypt.gensalt(4)).decode() for name in ("alice", "bob")}
    (directory / "htpasswd").write_text(f"bob:{hashes['bob']}\n")
    settings = {
        "storage.dir": str(directory / "packages"),
        "server.workers": "2",
        "access.users": json.dumps({"alice": hashes["alice"]}),
        "access.htpasswd": str(directory / "htpasswd"),
        "access.tokens": json.dumps({"keys": [KEY]}),
        "access.rules": json.dumps(
            [
                {"projects": [SECRET], "read": ["user:alice"], "only": True},
                {"projects": [OPEN], "read": ["everyone"]},
            ]
        ),
    }
    process = GatewayProcess(directory / "process", settings)
    try:
        yield Team(process, process.wait_until_it_listens().removeprefix("http://"))
    finally:
        process.stop()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(environment(tmp_path_factory.mktemp("environment"), ["pip"]))


def token(subject: str = "alice") -> str:
    return issue(Claims(subject, "t1", Scope(frozenset({Right.READ})), 4_000_000_000), HmacKey(KEY.encode()))


def run(directory: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    isolated = clean_environment(directory) | {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_CONFIG": "1",
        "UV_NO_CACHE": "1",
    }
    del isolated["PYTHONWARNINGS"]
    return subprocess.run(command, cwd=directory, env=isolated | variables, capture_output=True, text=True, timeout=120)


def pip(python: str, directory: Path, url: str, project: str) -> subprocess.CompletedProcess[str]:
    options = ["--no-input", "--retries", "0", "--dest", str(directory / "wheels"), "--index-url", url]
    return run(directory, python, "-m", "pip", "download", *options, project)


@pytest.mark.parametrize("way", ["password", "token", "token-as-user", "netrc"])
def test_pip(team: Team, python: str, tmp_path: Path, way: str) -> None:
    ways = {"password": "alice:pw-alice", "token": f"__token__:{token()}", "token-as-user": token(), "netrc": ""}
    if way == "netrc":
        (tmp_path / ".netrc").write_text(f"machine {team.host.partition(':')[0]} login alice password pw-alice\n")
    done = pip(python, tmp_path, team.url(ways[way]), SECRET)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == [wheel(SECRET, "1.0")[0]]


@pytest.mark.parametrize("credentials", ["bob:pw-bob", "alice:wrong", "", token("bob")])
def test_pip_gets_nothing_that_it_may_not(team: Team, python: str, tmp_path: Path, credentials: str) -> None:
    done = pip(python, tmp_path, team.url(credentials), SECRET)
    assert done.returncode != 0
    assert "No matching distribution" in done.stderr or "401" in done.stderr
    assert not (tmp_path / "wheels").exists() or not [*(tmp_path / "wheels").iterdir()]


def test_everybody_may_have_what_is_open(team: Team, python: str, tmp_path: Path) -> None:
    assert pip(python, tmp_path, team.url(), OPEN).returncode == 0


@pytest.mark.parametrize("way", ["password", "token", "netrc", "variables", "always"])
def test_uv(team: Team, python: str, tmp_path: Path, way: str) -> None:
    """Where uv has credentials, it asks without them first; with `always` it sends them at once."""
    target, variables = tmp_path / "target", {}
    index = f"--default-index={team.url()}"
    match way:
        case "password":
            index = f"--default-index={team.url('alice:pw-alice')}"
        case "token":
            index = f"--default-index={team.url(f'__token__:{token()}')}"
        case "netrc":
            (tmp_path / ".netrc").write_text(f"machine {team.host.partition(':')[0]} login alice password pw-alice\n")
        case _:
            always = 'authenticate = "always"\n' * (way == "always")
            (tmp_path / "uv.toml").write_text(
                f'[[index]]\nname = "team"\nurl = "{team.url()}"\ndefault = true\n{always}'
            )
            variables = {"UV_INDEX_TEAM_USERNAME": "alice", "UV_INDEX_TEAM_PASSWORD": "pw-alice"}
            variables["UV_CONFIG_FILE"] = str(tmp_path / "uv.toml")
            index = "--no-progress"
    command = [uv(), "pip", "install", "--python", python, "--target", str(target), index, SECRET]
    if "UV_CONFIG_FILE" in variables:
        variables["UV_NO_CONFIG"] = "false"
    done = run(tmp_path, *command, **variables)
    assert done.returncode == 0, done.stderr
    assert (target / f"{SECRET}.py").exists()


def test_uv_stops_at_what_it_may_not_have(team: Team, python: str, tmp_path: Path) -> None:
    command = [uv(), "pip", "install", "--python", python, "--target", str(tmp_path / "target")]
    done = run(tmp_path, *command, f"--default-index={team.url('bob:pw-bob')}", SECRET)
    assert done.returncode != 0
    assert "403" in done.stderr


KEYRING = """
from keyring.backend import KeyringBackend

class Passwords(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        return "pw-alice" if "{host}" in service and username == "alice" else None

    def set_password(self, service, username, password): ...
"""


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_a_keyring(team: Team, python: str, tmp_path: Path, client: str) -> None:
    """The URL has the user, and the keyring's command the password."""
    (tmp_path / "passwords.py").write_text(KEYRING.replace("{host}", team.host))
    commands = Path(sys.executable).parent  # with `keyring`
    variables = {
        "PYTHON_KEYRING_BACKEND": "passwords.Passwords",
        "PYTHONPATH": str(tmp_path),
        "PATH": f"{commands}:{clean_environment(tmp_path)['PATH']}",
    }
    url, target = team.url("alice"), tmp_path / "target"
    options = ["--keyring-provider", "subprocess", "--target", str(target), "--index-url", url, SECRET]
    install = [python, "-m", "pip", "install"] if client == "pip" else [uv(), "pip", "install", "--python", python]
    done = run(tmp_path, *install, *options, **variables)
    assert done.returncode == 0, done.stderr
    assert (target / f"{SECRET}.py").exists()


def test_pipenv(team: Team, tmp_path: Path) -> None:
    (tmp_path / "Pipfile").write_text(
        f'[[source]]\nname = "team"\nurl = "http://${{TEAM_USER}}:${{TEAM_PASSWORD}}@{team.host}/simple/"\n'
        f'verify_ssl = false\n\n[packages]\n{SECRET} = "*"\n'
    )
    environment(tmp_path / ".venv")
    variables = {"PIPENV_VENV_IN_PROJECT": "1", "PIPENV_NOSPIN": "1", "PIPENV_CACHE_DIR": str(tmp_path / "cache")}
    variables |= {
        "PIPENV_IGNORE_VIRTUALENVS": "1",
        "PIPENV_YES": "1",
        "TEAM_USER": "alice",
        "TEAM_PASSWORD": "pw-alice",
    }
    done = run(tmp_path, sys.executable, "-m", "pipenv", "lock", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    lock = (tmp_path / "Pipfile.lock").read_text()
    assert "sha256:" in lock
    assert "pw-alice" not in lock + done.stdout + done.stderr


def test_pdm(team: Team, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "application"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["{SECRET}"]\n'
        f"[tool.pdm]\ndistribution = false\n"
        f'[[tool.pdm.source]]\nname = "pypi"\nurl = "http://${{TEAM_USER}}:${{TEAM_PASSWORD}}@{team.host}/simple/"\n'
        f"verify_ssl = false\n"
    )
    environment(tmp_path / ".venv")
    variables = {"PDM_CHECK_UPDATE": "0", "PDM_CACHE_DIR": str(tmp_path / "cache"), "PDM_IGNORE_ACTIVE_VENV": "1"}
    variables |= {"TEAM_USER": "alice", "TEAM_PASSWORD": "pw-alice"}
    done = run(tmp_path, sys.executable, "-m", "pdm", "lock", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    lock = (tmp_path / "pdm.lock").read_text()
    assert "sha256:" in lock
    assert "pw-alice" not in lock


def test_poetry(team: Team, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "application"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["{SECRET}"]\n'
        f"[tool.poetry]\npackage-mode = false\n"
        f'[[tool.poetry.source]]\nname = "team"\nurl = "{team.url()}"\npriority = "primary"\n'
    )
    variables = {
        "POETRY_CACHE_DIR": str(tmp_path / "cache"),
        "POETRY_HTTP_BASIC_TEAM_USERNAME": "alice",
        "POETRY_HTTP_BASIC_TEAM_PASSWORD": "pw-alice",
    }
    done = run(tmp_path, sys.executable, "-m", "poetry", "lock", "--no-interaction", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SECRET in (tmp_path / "poetry.lock").read_text()


def test_curl(team: Team, tmp_path: Path) -> None:
    url = f"http://{team.host}/{SECRET}/{wheel(SECRET, '1.0')[0]}"

    def code(*options: str) -> str:
        return run(tmp_path, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *options, url).stdout

    assert code("-u", "alice:pw-alice") == "200"
    assert code("-H", f"Authorization: Bearer {token()}") == "200"
    assert code("-u", "bob:pw-bob") == "403"
    assert code() == "401"
    assert run(tmp_path, "curl", "-sS", f"http://{team.host}/health").stdout
    log = team.process.access_log.read_text() + team.process.log.read_text()
    for secret in ("pw-alice", "pw-bob", token()):
        assert secret not in log
