"""Where advisories may come from."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.errors import ConfigError

MIRROR = {"fallback.mode": "mirror"}


def source(text: str, tmp_path: Path) -> tuple[str, Path | None]:
    settings = load(MIRROR | {"policy.advisories": f"{{source: {text!r}}}"}, environ={}, cwd=tmp_path)
    assert settings.policy.advisories is not None
    return settings.policy.advisories.source, settings.policy.advisories.file


@pytest.mark.parametrize(
    "url", ["https://osv.example/PyPI/all.zip", "http://127.0.0.1:8000/all.zip", "https://osv.example/all.zip?a=b"]
)
def test_an_address(tmp_path: Path, url: str) -> None:
    assert source(url, tmp_path) == (url, None)


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "all.zip"
    file.write_bytes(b"")
    for text in (str(file), f"file:{file}", f"file://{file}"):
        assert source(text, tmp_path) == (str(file), file)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://osv.example/all.zip", "must be an https address"),
        ("https://user:secret@osv.example/all.zip", "must be an https address"),
        ("ftp://osv.example/all.zip", "must be an https address"),
        ("/no/such/file", "names a file that is not there"),
        ("file:/no/such/file", "names a file that is not there"),
        ("/tmp", "names a file that is not there, or is none"),
        ("", "names a file that is not there"),
        ("osv.example/all.zip", "an address begins with https://"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as failure:
        source(text, tmp_path)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("condition", ["advisories: ['MAL-*']", "severity: high"])
def test_a_rule_about_advisories_needs_some(tmp_path: Path, condition: str) -> None:
    rules = {"policy.rules": f"[{{{condition}, verdict: deny}}]"}
    with pytest.raises(ConfigError, match="is needed by a rule about advisories"):
        load(MIRROR | rules, environ={}, cwd=tmp_path)
    load(MIRROR | rules | {"policy.advisories": "{source: https://osv.example/all.zip}"}, environ={}, cwd=tmp_path)
