"""What commands tell gateways."""

from pathlib import Path

from gateway.cli.changed import tell_gateways
from gateway.config.load import load
from gateway.publish.beacon.ring import decode
from gateway.storage.local.storage import LocalStorage


async def told(tmp_path: Path, *projects: str, beacon: str = "true") -> str:
    settings = load({"storage.dir": str(tmp_path), "publish.beacon": beacon}, environ={}, cwd=tmp_path)
    return await tell_gateways(settings, LocalStorage(tmp_path), *projects)


async def test_many_projects_are_told_together(tmp_path: Path) -> None:
    assert await told(tmp_path, "acme", "other") == "Gateways see it now"
    ring = decode((tmp_path / ".gateway" / "epoch").read_bytes())
    assert [change.project for change in ring.changes] == ["acme", "other"]


async def test_a_name_that_no_project_can_have_does_not_damage_the_beacon(tmp_path: Path) -> None:
    await told(tmp_path, "lost+found", "acme", "a" * 200)
    ring = decode((tmp_path / ".gateway" / "epoch").read_bytes())
    assert [change.project for change in ring.changes] == ["acme"]


async def test_without_a_beacon_a_person_is_told_what_to_do(tmp_path: Path) -> None:
    assert (await told(tmp_path, "acme", beacon="false")).endswith("POST /-/refresh?project=acme")
    assert (await told(tmp_path, "acme", "other", beacon="false")).endswith("POST /-/refresh")
    assert not (tmp_path / ".gateway").exists()
