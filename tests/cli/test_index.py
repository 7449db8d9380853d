"""The index that commands change without a gateway."""

from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.support.wheels import wheel

pytestmark = pytest.mark.usefixtures("logging_stays")

FILE, CONTENT = wheel("acme_web", "1.0")


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose top level is no mount, and the directory that would be its by default."""
    monkeypatch.chdir(tmp_path)
    for name in ("packages", "a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / FILE).write_bytes(CONTENT)
    (tmp_path / "config.yaml").write_text(
        "publish: {enabled: true, allow_anonymous: true}\n"
        "mounts: [{name: a, path: /a, storage: {dir: a}}, {name: b, path: /b, storage: {dir: b}}]\n"
    )
    return tmp_path


@pytest.mark.parametrize("command", [("publish", FILE), ("status", "acme-web", "quarantined"), ("gc",), ("verify",)])
def test_no_command_takes_the_default_for_a_mount(
    mounts: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """No gateway serves that, or obeys a status there."""
    assert main([*command]) == 2
    assert "Mounts: a, b" in capsys.readouterr().err
    assert not [*(mounts / "packages").iterdir()]


def test_a_place_names_the_mount(mounts: Path) -> None:
    assert main(["publish", FILE, "--dir", "a"]) == 0
    assert (mounts / "a" / "acme-web" / FILE).read_bytes() == CONTENT
