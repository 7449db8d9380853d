"""What is yet to be found out of a project's files."""

import threading

import pytest

from gateway.index.wheels.known_metadata import SPARE_ENTRIES, Entry, version_of
from gateway.index.wheels.project_metadata import MANY_FILES, ProjectMetadata
from gateway.storage.base import ObjectMetadata, StoredObject


def project(*keys: str) -> ProjectMetadata:
    return ProjectMetadata(present={key: StoredObject(key, 1, '"e"', 0) for key in keys})


def learn(found: ProjectMetadata, key: str, sha256: str | None = None) -> None:
    item = found.present.get(key) or StoredObject(key, 1, '"e"', 0)
    entry = Entry(version_of(item), ObjectMetadata(sha256=sha256))
    found.known.entries[key] = entry
    found.weight += entry.weight


def unknown(found: ProjectMetadata) -> list[str]:
    return [item.key for item in found.unknown()]


def test_releases_and_yanks_are_looked_for_and_nothing_else() -> None:
    found = project("p/p-1.zip", "p/p-1.zip.yanked", "p/p-1.zip.sha256", "p/p-1.zip.asc", "p/notes.txt")
    assert unknown(found) == ["p/p-1.zip", "p/p-1.zip.yanked"]
    learn(found, "p/p-1.zip", "a" * 64)
    assert unknown(found) == ["p/p-1.zip.yanked"]


def test_a_hash_that_lies_beside_a_file_is_looked_at_before_the_file_is_known() -> None:
    found = project("p/p-1.zip", "p/p-1.zip.sha256")
    learn(found, "p/p-1.zip")
    assert unknown(found) == ["p/p-1.zip"]
    learn(found, "p/p-1.zip.sha256")
    assert unknown(found) == []


@pytest.mark.parametrize(("files", "on_the_loop"), [(MANY_FILES, True), (MANY_FILES + 1, False)])
async def test_many_files_are_looked_through_in_a_thread(files: int, on_the_loop: bool) -> None:
    threads: list[threading.Thread] = []

    class Watching(dict[str, StoredObject]):
        def get(self, key: str, default: StoredObject | None = None) -> StoredObject | None:  # type: ignore[override]
            threads.append(threading.current_thread())
            return super().get(key, default)

    found = project(*(f"p/p-{number}.zip" for number in range(files)))
    learn(found, "p/p-0.zip")
    found.present = Watching(found.present)
    assert len(await found.unknown_soon()) == files - 1
    assert {thread is threading.main_thread() for thread in threads} == {on_the_loop}


def test_what_is_known_of_absent_files_goes_once_it_is_most() -> None:
    found = project("p/p-0.zip")
    for number in range(SPARE_ENTRIES + 2):
        learn(found, f"p/p-{number}.zip")
    found.forget_absent()
    assert len(found.known.entries) == SPARE_ENTRIES + 2
    learn(found, "p/p-new.zip")
    found.forget_absent()
    assert [*found.known.entries] == ["p/p-0.zip"]
    assert found.weight == found.known.entries["p/p-0.zip"].weight


def test_a_listing_is_held_only_while_it_is_needed() -> None:
    found = project("p/p-1.zip")
    found.pending = 1
    found.let_go()
    found.pending, found.unsaved = 0, 1
    found.let_go()
    assert found.present
    found.unsaved = 0
    found.let_go()
    assert not found.present
