"""Databases of advisories, and files that are none."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.index.screening.advisories.database import AdvisoryDatabase, DamagedDatabaseError
from gateway.index.screening.advisories.parse_worker import make
from tests.support.advisories import MAL, archive, malware


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "da?ta#base%20"
    make(archive(MAL, *(malware(f"p{number}", "1") for number in range(500))), str(file), "m")
    return file


def test_its_file_may_go_or_be_replaced(file: Path) -> None:
    database = AdvisoryDatabase(file)
    assert database.is_at(file)
    file.rename(file.with_name("old"))
    make(archive(malware("y", "1")), str(file), "n")
    assert not database.is_at(file)
    file.with_name("old").unlink()
    assert [one.id for one in database.about("litellm")] == [MAL["id"]]
    database.close()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AdvisoryDatabase(tmp_path / "x")


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(100)])
def test_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DamagedDatabaseError):
        AdvisoryDatabase(tmp_path / "x")


def test_one_that_is_cut_short_or_overwritten(file: Path) -> None:
    content = file.read_bytes()
    for damaged in (content[:100], content[:4096], content[:4096] + b"\xff" * (len(content) - 4096)):
        other = file.with_name("damaged")
        other.write_bytes(damaged)
        with pytest.raises(DamagedDatabaseError):
            AdvisoryDatabase(other).about("litellm")


@pytest.mark.parametrize(
    "change",
    ["PRAGMA user_version=2", "DELETE FROM meta", "UPDATE meta SET text = '[]'", "UPDATE meta SET text = '{}'"],
)
def test_one_of_another_version(file: Path, change: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(DamagedDatabaseError):
        AdvisoryDatabase(file)


def test_a_row_that_is_no_advisory(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE advisory SET text = '[]' WHERE project = 'litellm'")
        connection.commit()
    database = AdvisoryDatabase(file)
    assert len(database.about("p1")) == 1
    with pytest.raises(DamagedDatabaseError):
        database.about("litellm")
    database.close()
