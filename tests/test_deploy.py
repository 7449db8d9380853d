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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli import parser
from gateway.config import Settings
from gateway.sources import load

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
NOBODY = 65534


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
    """What the Dockerfile's RUN lines make of what its COPY lines bring, in a place that any user may read."""
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
            destination = context / (source if target.endswith("./") else target)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, destination, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, destination)
    for line in instructions("RUN"):
        command = line.replace("/opt/gateway", str(place / "gateway")).replace(
            "python -m venv", f"{sys.executable} -m venv"
        )
        subprocess.run(command, shell=True, cwd=context, check=True, env={"PATH": os.environ["PATH"]})
    shutil.rmtree(context)  # the second stage has only the environment
    yield place
    shutil.rmtree(place)


def as_nobody() -> list[str]:
    """What to put before a command. Where the tests run as root, Python may be in root's home: it may be read."""
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return (
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reading] if os.geteuid() == 0 else []
    )


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
            assert parser().parse_args(check["exec"]["command"][1:]).command == "health"
        else:
            assert settings.server.host == "0.0.0.0"
            assert check["httpGet"]["path"] == ("/ready" if probe == "readinessProbe" else "/health")
            assert {"name": "http", "containerPort": settings.server.port} in container["ports"]
    waited = int(container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [0, 0])[1])
    assert pod["terminationGracePeriodSeconds"] > waited + settings.server.shutdown_grace


def test_the_service_leads_to_the_deployment() -> None:
    by_kind = {document["kind"]: document for document in documents("deploy/kubernetes/service.yaml")}
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert by_kind["Service"]["spec"]["selector"].items() <= labels.items()
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert by_kind["Service"]["spec"]["ports"][0]["targetPort"] == "http"


def test_compose_is_as_strict_and_patient() -> None:
    service = documents("deploy/compose.yaml")[0]["services"]["gateway"]
    settings = load(environ=image_environment() | service["environment"], cwd=Path("/"))
    assert service["read_only"]
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
