"""What deploy/ and the Dockerfile say, held against the program. No Docker engine is needed: their steps are run."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway import __version__
from gateway.cli.main import parser
from gateway.config.load import load
from gateway.config.settings import Settings
from tests.support import environments
from tests.support.nightly import NIGHTLY

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
NOBODY = 65534
INSTALL_DEPENDENCIES = (
    "/opt/gateway/bin/pip install --no-cache-dir --compile --only-binary :all: --require-hashes -r image.lock"
)


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} +(.*)$", DOCKERFILE, re.MULTILINE)


def exec_form(name: str) -> list[str]:
    [text] = instructions(name)
    return [str(argument) for argument in json.loads(text)]


def image_environment() -> dict[str, str]:
    return dict(assignment.split("=", 1) for assignment in shlex.split(" ".join(instructions("ENV"))))


def documents(path: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all((ROOT / path).read_text()) if document]


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    spec = document["spec"].get("template", document)["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def gateway_container(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Pod's specification and the gateway's container in it."""
    [document] = [document for document in documents(path) if document["kind"] in ("Pod", "Deployment")]
    [container] = [container for container in containers(document) if container["name"] == "gateway"]
    return document["spec"].get("template", document)["spec"], container


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the Dockerfile's RUN lines make of what its COPY lines bring, in a place that any user may read.

    In the night all of it. By day pip and the packages of image.lock, which take half a minute to install, are linked
    from the environment that runs the tests; those of build.lock and the gateway are installed.
    """
    place = Path(tempfile.mkdtemp(prefix="gateway-image-"))
    place.chmod(0o755)
    context = place / "src"
    context.mkdir()
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in instructions("COPY"):
        *sources, target = line.split()
        if sources[0].startswith("--from"):
            continue
        for source in sources:
            assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), f".dockerignore keeps {source} out"
            destination = context / (Path(source).name if target == "./" else target)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, destination, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, destination)
    for line in instructions("RUN"):
        if line == "python -m venv /opt/gateway" and not NIGHTLY:
            environments.environment(place / "gateway", ["pip"])
            # In the image it is a command too, which the lines that follow call.
            pip = place / "gateway" / "bin" / "pip"
            pip.write_text(f'#!/bin/sh\nexec {place}/gateway/bin/python -m pip "$@"\n')
            pip.chmod(0o755)
        elif line == INSTALL_DEPENDENCIES and not NIGHTLY:
            environments.link(
                place / "gateway", [requirement.partition("==")[0] for requirement in locked("image.lock")]
            )
        else:
            command = line.replace("python -m venv", f"{sys.executable} -m venv").replace("/opt/", f"{place}/")
            subprocess.run(command, shell=True, cwd=context, check=True, env={"PATH": os.environ["PATH"]})
    shutil.rmtree(context)  # the second stage has only the environment
    shutil.rmtree(place / "build")
    yield place
    shutil.rmtree(place)


def as_nobody() -> list[str]:
    """What to put before a command. Where the tests run as root, Python may be in root's home: it may be read."""
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return (
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reading] if os.geteuid() == 0 else []
    )


def test_the_image_has_an_environment_of_its_own_with_what_is_locked() -> None:
    """The two lines that `image` takes a shortcut for by day."""
    assert {"python -m venv /opt/gateway", INSTALL_DEPENDENCIES} <= set(instructions("RUN"))


def test_the_image_s_steps_make_a_gateway_that_an_ordinary_user_runs(image: Path) -> None:
    entrypoint, command, health = (exec_form(name) for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK .*?CMD"))
    environment = image_environment() | {"HOME": "/nonexistent"}
    environment["PATH"] = (
        environment["PATH"].replace("/opt/gateway", str(image / "gateway")).replace("$PATH", os.environ["PATH"])
    )
    environment["GATEWAY_SERVER__WORKERS"] = "2"
    environment["GATEWAY_SERVER__PORT"] = str(_free_port())
    environment["GATEWAY_SERVER__HOST"] = "127.0.0.1"
    process = subprocess.Popen(
        [*as_nobody(), *entrypoint, *command], cwd="/", env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            check = subprocess.run([*as_nobody(), *health], cwd="/", env=environment, capture_output=True, text=True)
            if check.returncode == 0:
                break
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.1)
        assert check.returncode == 0, check.stderr
        written = {path for path in image.rglob("*") if path.stat().st_uid == NOBODY}
        assert written == set(), "nothing is written beside the code"
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_the_image_s_environment_is_settings_and_listens_for_others() -> None:
    environment = image_environment()
    settings = load(environ=environment, cwd=Path("/"))
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 8080)
    assert instructions("EXPOSE") == [str(Settings().server.port)]
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"


def test_the_image_s_base_is_fixed() -> None:
    [(base)] = [line.removeprefix("PYTHON=") for line in instructions("ARG")]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert [line.split(" AS ")[0] for line in instructions("FROM")] == ["${PYTHON}", "${PYTHON}"]


def locked(name: str) -> dict[str, list[str]]:
    """The hashes of each requirement, as `name==version`, in one of the image's locks."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "deploy" / name).read_text().replace("\\\n", " ").splitlines():
        if line and not line.lstrip().startswith("#"):
            requirement, *hashes = line.split(" --hash=")
            found[requirement.partition(";")[0].strip()] = [text.strip() for text in hashes]
    return found


@pytest.mark.parametrize("lock", ["image.lock", "build.lock"])
def test_the_locks_have_all_that_is_needed_with_its_hashes(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    needed = {
        "image.lock": project["project"]["dependencies"] + extras["workers"] + extras["otel"],
        "build.lock": project["build-system"]["requires"],
    }[lock]
    entries = locked(lock)
    assert all(
        re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for hashes in entries.values() for digest in hashes or ["none"]
    )
    versions = {name: version for name, _, version in (entry.partition("==") for entry in entries)}
    for text in needed:
        requirement = Requirement(text)
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in {lock}: make lock"
        assert requirement.specifier.contains(version), f"{requirement} is not what {lock} has, {version}: make lock"


def test_every_text_calls_the_distribution_by_its_name() -> None:
    """On PyPI, `gateway` is somebody else's."""
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    assert name != "gateway"
    texts = [ROOT / "README.md", ROOT / "config.yaml", ROOT / "pyproject.toml", ROOT / "Makefile"]
    texts += [path for folder in ("docs", "deploy", "gateway") for path in (ROOT / folder).rglob("*.*")]
    named = set()
    for path in texts:
        if path.suffix in (".md", ".yaml", ".toml", ".py", ".service", ""):
            named |= set(re.findall(r"([\w-]*gateway)\[[a-z]+[\],]", path.read_text()))
            assert not re.search(r"pip install '?gateway\b", path.read_text()), path
    assert named == {name}


def test_the_image_installs_nothing_but_what_is_locked() -> None:
    for command in re.findall(r"pip install (.*?)(?: &&|$)", "\n".join(instructions("RUN")), re.MULTILINE):
        assert "--require-hashes" in command or "--no-index --no-deps" in " ".join(command.split()), command
        assert "--only-binary :all:" in command or "--no-build-isolation" in command, command


def test_the_image_runs_as_no_root() -> None:
    assert instructions("USER") == ["10001:10001"]
    for path in ("deploy/kubernetes/service.yaml", "deploy/kubernetes/sidecar.yaml"):
        pod, container = gateway_container(path)
        assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]) == (10001, True)
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("path", ["deploy/kubernetes/service.yaml", "deploy/kubernetes/sidecar.yaml"])
def test_manifests_set_what_there_is_and_probe_what_answers(path: str) -> None:
    pod, container = gateway_container(path)
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    settings = load(environ=image_environment() | environment, cwd=Path("/"))
    assert settings.storage.resolved_backend == "s3"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        check = container[probe]
        if "exec" in check:
            assert settings.server.host == "127.0.0.1"
            arguments = parser().parse_args(check["exec"]["command"][1:])
            assert arguments.command == "health"
            assert arguments.url in (None, f"http://127.0.0.1:{settings.ops.port}/ready")
            assert (arguments.url is None) == (probe != "readinessProbe")
        else:
            assert settings.server.host == "0.0.0.0"
            assert check["httpGet"]["path"] == ("/ready" if probe == "readinessProbe" else "/health")
            assert check["httpGet"]["port"] == "ops"
            assert container["ports"] == [
                {"name": "http", "containerPort": settings.server.port},
                {"name": "ops", "containerPort": settings.ops.port},
            ]
    waited = int(container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [0, 0])[1])
    assert pod["terminationGracePeriodSeconds"] > waited + settings.server.shutdown_grace


@pytest.mark.parametrize("path", ["deploy/kubernetes/service.yaml", "deploy/kubernetes/sidecar.yaml"])
def test_pods_have_no_token_of_the_cluster_and_say_which_image(path: str) -> None:
    pod, container = gateway_container(path)
    assert pod["automountServiceAccountToken"] is False
    assert container["image"] == f"registry.example.com/gateway:{__version__}"
    assert container["resources"]["limits"]["memory"]
    [mount] = container["volumeMounts"]
    [volume] = pod["volumes"]
    assert (mount["name"], mount["mountPath"]) == (volume["name"], "/tmp")
    assert volume["emptyDir"]["sizeLimit"]
    for account in documents(path):
        assert account["kind"] != "ServiceAccount" or account["automountServiceAccountToken"] is False


def bytes_of(size: str) -> int:
    """Of Kubernetes' and Docker's ways to write it."""
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]+)", size).groups()  # type: ignore[union-attr]
    return int(number) * {"Gi": 2**30, "Mi": 2**20, "m": 2**20, "g": 2**30}[unit]


def test_files_on_their_way_fit_into_the_place_that_they_have() -> None:
    """Who takes more of an emptyDir is evicted."""
    service = documents("deploy/compose.yaml")[0]["services"]["gateway"]
    [tmpfs] = service["tmpfs"]
    places = [(service["environment"], tmpfs.partition("size=")[2].partition(",")[0])]
    for path in ("deploy/kubernetes/service.yaml", "deploy/kubernetes/sidecar.yaml"):
        pod, container = gateway_container(path)
        environment = {variable["name"]: variable["value"] for variable in container["env"]}
        places.append((environment, pod["volumes"][0]["emptyDir"]["sizeLimit"]))
    for environment, size in places:
        settings = load(environ=image_environment() | environment, cwd=Path("/"))
        assert settings.fallback.temp_bytes * settings.server.workers < 0.9 * bytes_of(size)


# Of a worker, beside what settings bound: itself, and some 500 clients at once (README, "What it keeps"). Beside it run
# the process that renders READMEs, and `gateway health`.
WORKER_BYTES, CLIENTS_BYTES, BESIDE_BYTES = 70 * 2**20, 50 * 2**20, 60 * 2**20


def test_what_a_container_keeps_in_memory_fits_into_its_limit() -> None:
    service = documents("deploy/compose.yaml")[0]["services"]["gateway"]
    in_memory = load(environ=image_environment() | service["environment"], cwd=Path("/")).fallback.temp_bytes
    places = [(service["environment"], bytes_of(service["mem_limit"]) - in_memory)]
    for path in ("deploy/kubernetes/service.yaml", "deploy/kubernetes/sidecar.yaml"):
        _, container = gateway_container(path)
        environment = {variable["name"]: variable["value"] for variable in container["env"]}
        places.append((environment, bytes_of(container["resources"]["limits"]["memory"])))
    for environment, limit in places:
        settings = load(environ=image_environment() | environment, cwd=Path("/"))
        kept = settings.cache.memory_bytes + settings.index.memory_bytes + settings.parallel.memory_bytes
        assert settings.server.workers * (WORKER_BYTES + CLIENTS_BYTES + kept) + BESIDE_BYTES <= limit


def test_the_network_policy_lets_clients_to_the_service_and_metrics_to_monitoring() -> None:
    by_kind = {document["kind"]: document for document in documents("deploy/kubernetes/service.yaml")}
    template = by_kind["Deployment"]["spec"]["template"]
    policy = by_kind["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    clients, monitoring = policy["ingress"]
    assert (clients["from"], [port["port"] for port in clients["ports"]]) == ([{"podSelector": {}}], ["http"])
    assert [port["port"] for port in monitoring["ports"]] == ["ops"]
    assert all(rule.get("to") or rule["ports"] for rule in policy["egress"]), "not everything"
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {53, 443, 80}
    [(ops)] = [port for port in containers(by_kind["Deployment"])[0]["ports"] if port["name"] == "ops"]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(ops["containerPort"])


def test_the_service_leads_to_the_deployment() -> None:
    by_kind = {document["kind"]: document for document in documents("deploy/kubernetes/service.yaml")}
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert by_kind["Service"]["spec"]["selector"].items() <= labels.items()
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert by_kind["Service"]["spec"]["ports"][0]["targetPort"] == "http"


def test_compose_is_as_strict_and_patient() -> None:
    service = documents("deploy/compose.yaml")[0]["services"]["gateway"]
    settings = load(environ=image_environment() | service["environment"], cwd=Path("/"))
    assert settings.ops.port is not None
    assert service["read_only"]
    assert service["image"] == f"gateway:{__version__}"
    assert mebibytes(service["mem_limit"]) <= 512
    assert 64 <= service["pids_limit"] <= 1024
    [tmpfs] = service["tmpfs"]
    [size] = re.findall(r"^/tmp:.*\bsize=(\w+)", tmpfs)
    assert mebibytes(size) < mebibytes(service["mem_limit"])
    assert service["cap_drop"] == ["ALL"]
    assert int(service["stop_grace_period"].rstrip("s")) > settings.server.shutdown_grace
    assert service["ports"] == [f"127.0.0.1:8080:{settings.server.port}"]


def test_the_unit_runs_the_command_and_waits_for_its_grace() -> None:
    unit = (ROOT / "deploy" / "systemd" / "gateway.service").read_text()
    [command] = re.findall(r"^ExecStart=/opt/gateway/bin/gateway (.*)$", unit, re.MULTILINE)
    assert parser().parse_args(command.split()).command == "serve"
    [patience] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(patience) > Settings().server.shutdown_grace
    for line in ("DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet="):
        assert line in unit.splitlines()
    [memory] = re.findall(r"^MemoryMax=(\w+)$", unit, re.MULTILINE)
    assert mebibytes(memory) <= 1024
    assert re.search(r"^TasksMax=\d+$", unit, re.MULTILINE)
    assert "ExecReload=/bin/kill -HUP $MAINPID" in unit.splitlines()
    assert "RestartPreventExitStatus=2" in unit.splitlines(), "a broken configuration ends it with 2"
    assert "PrivateTmp=yes" in unit.splitlines(), "room for /tmp under ProtectSystem=strict"


def test_secrets_of_compose_are_not_committed() -> None:
    example = (ROOT / "deploy" / ".env.example").read_text()
    environ = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    assert load(environ=environ, cwd=Path("/")).storage.bucket
    assert {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}.items() <= environ.items()
    assert documents("deploy/compose.yaml")[0]["services"]["gateway"]["env_file"] == ".env"
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    assert (ROOT / ".dockerignore").read_text().startswith("*\n"), "nor does it get into the image"


def test_the_docker_line_has_the_credentials_and_room_for_tmp() -> None:
    text = (ROOT / "docs/pages/operations.md").read_text().replace("\\\n", " ")
    [line] = re.findall(r"^docker run .*$", text, re.MULTILINE)
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "--read-only", "--tmpfs", "/tmp"} <= set(line.split())


def mebibytes(text: str) -> int:
    """As compose and systemd write them: 64m, 1G."""
    number, unit = re.fullmatch(r"(\d+)([mMgG])", text).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit in "gG" else 1)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = (ROOT / "deploy" / "systemd" / "gateway.service").read_text()
    installed = tmp_path / "gateway.service"
    installed.write_text(unit.replace("/opt/gateway/bin/gateway", sys.executable))
    found = subprocess.run(["systemd-analyze", "verify", "--man=no", installed], capture_output=True, text=True)
    assert "gateway.service" not in found.stderr


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[[int], subprocess.CompletedProcess[str]]:
    """`make run`, with a pip that writes noise and ends with the given code, and a gateway that says that it runs."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (tmp_path / ".venv" / "python").touch()

    def run(code: int) -> subprocess.CompletedProcess[str]:
        scripts = {"python": f'echo "noise of pip: $@"; echo ERROR >&2; exit {code}', "gateway": 'echo "gateway $@"'}
        for name, script in scripts.items():
            (binaries / name).write_text(f"#!/bin/sh\n{script}\n")
            (binaries / name).chmod(0o755)
        # Not the variables of the make that may run these tests: it would say which directory it enters.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run(["make", "run"], cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


def test_make_run_installs_only_the_demo_and_says_so(
    make_run: Callable[[int], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    found = make_run(0)
    assert found.returncode == 0, found.stderr
    saying, running = found.stdout.splitlines()
    assert saying.startswith("Installing the gateway and an S3 server for the demo")
    assert (running, found.stderr) == ("gateway demo", "")
    assert "install --disable-pip-version-check -e .[demo]\n" in (tmp_path / ".venv" / "demo.log").read_text()
    assert make_run(0).stdout == "gateway demo\n", "it is installed once"


def test_make_run_shows_what_pip_says_if_it_fails(
    make_run: Callable[[int], subprocess.CompletedProcess[str]],
) -> None:
    found = make_run(1)
    assert found.returncode != 0
    assert "noise of pip" in found.stdout
    assert "ERROR" in found.stdout
    assert "gateway demo" not in found.stdout
