"""What becomes of an archive: a database, without what can't be read."""

from pathlib import Path

import pytest
from packaging.version import Version

from gateway.index.screening.advisories import parse_worker
from gateway.index.screening.advisories.archive import ArchiveError
from gateway.index.screening.advisories.database import AdvisoryDatabase
from gateway.index.screening.advisories.parse_worker import Counts, make
from tests.support.advisories import GHSA, MAL, PYSEC, archive, malware, packed


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_database(tmp_path: Path, processes: int) -> None:
    target = tmp_path / "db"
    counts = make(archive(PYSEC, GHSA, MAL, malware("x", "1")), str(target), "mark", processes)
    assert counts == Counts(advisories=4, projects=3)
    database = AdvisoryDatabase(target)
    assert (database.mark, database.advisories, database.projects, database.unreadable) == ("mark", 4, 3, 0)
    assert {one.id for one in database.about("django")} == {"PYSEC-2024-56", "GHSA-qg2p-9jwr-mmqf"}
    assert [one.versions for one in database.about("litellm")] == [{Version("1.82.7"), Version("1.82.8")}]
    assert database.about("Django") == database.about("other") == ()
    database.close()


@pytest.mark.parametrize("processes", [1, 2])
def test_little_of_an_archive_is_in_memory_at_once(processes: int) -> None:
    """All that is found out of a quarter of a million records takes 140 MB."""
    many = archive(*(malware(f"p{number}", "1") for number in range(1000)))
    parts = [*parse_worker._parts(many, processes)]
    assert max(len(rows) for rows, _ in parts) <= 100
    assert sorted(project for rows, _ in parts for project, _ in rows) == sorted(f"p{number}" for number in range(1000))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("{", "line 1"),
        (b"\xff\xfe\x00", "utf"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("1" * 5000, "int"),
        ("[]", "something else"),
        ({"id": "A", "affected": 7}, "something else"),
        (b" " * 5_000_000, "over 4194304 bytes"),
    ],
)
def test_a_record_that_can_t_be_read_leaves_the_others_alone(tmp_path: Path, record: object, reason: str) -> None:
    counts = make(archive(malware("x", "1"), record, malware("y", "1")), str(tmp_path / "db"), "")
    assert (counts.advisories, counts.unreadable) == (2, 1)
    assert reason in counts.first


def test_if_no_record_can_be_read_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no record of it can be read: it has no id"):
        make(archive({}, "x"), str(tmp_path / "db"), "")


def test_an_archive_without_records_is_an_empty_database(tmp_path: Path) -> None:
    assert make(packed([]), str(tmp_path / "db"), "") == Counts()


def test_a_project_can_t_have_any_number_of_advisories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_worker, "MAX_PROJECT_BYTES", 500)
    many = [malware("x", "1", name=f"MAL-{number}") for number in range(100)]
    counts = make(archive(*many, malware("y", "1")), str(tmp_path / "db"), "")
    assert 0 < counts.advisories < 12
    assert counts.unreadable == 101 - counts.advisories
    assert counts.first == "there is too much about x"
    assert counts.projects == 2


def test_what_is_there_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"")
    (tmp_path / "db").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        make(archive(MAL), str(tmp_path / "db"), "")
