"""Settings that hardly do what they look like."""

from pathlib import Path

import pytest

from gateway.config.hints import path_hints
from gateway.config.load import load
from tests.access.test_reload import OPEN, file, replace, started
from tests.support.eventually import eventually

__all__ = ["file"]  # a fixture


@pytest.mark.parametrize(
    ("prefixes", "paths", "hinted"),
    [
        ({"server.base_path": "/pkg"}, "/pkg/docs, /docs, /pkgs/docs", ["/pkg/docs/"]),
        ({"server.base_path": "/pkg"}, "/pkg", ["/pkg/"]),
        ({"rewrite.strip_prefix": "/s3"}, "/s3/docs, /docs", ["/s3/docs/"]),
        ({}, "/docs, /", []),
    ],
)
def test_rules_for_paths_that_begin_with_what_is_removed(
    tmp_path: Path, prefixes: dict[str, str], paths: str, hinted: list[str]
) -> None:
    rules = {"access.rules": f"[{{projects: x, read: everyone}}, {{paths: [{paths}], read: everyone}}]"}
    settings = load(prefixes | rules | {"access.authenticators": "package:Class"}, environ={}, cwd=tmp_path)
    assert settings.access is not None
    found = path_hints(settings, settings.access)
    assert len(found) == len(hinted)
    for said, path in zip(found, hinted, strict=True):
        assert said.startswith(f"access.rules[2] names the path {path}, which begins with {next(iter(prefixes))}: it")


async def test_rules_that_hold_for_no_request_are_told(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    below = OPEN.replace("0}", "0, base_path: /pkg}", 1)
    file.write_text(below.replace("projects: acme", "paths: /pkg/a"))
    gateway = await started(file)
    try:
        assert "access.rules[1] names the path /pkg/a/, which begins with server.base_path" in caplog.text
        replace(file, below.replace("projects: acme", "paths: /pkg/b"))
        await eventually(lambda: "the path /pkg/b/" in caplog.text)
    finally:
        await gateway.stop()
