"""Which folders the list of projects leaves out, and for how long."""

from gateway.index.catalog.empty_folders import EmptyFolders
from gateway.index.catalog.listing import Projects

PROJECTS = Projects({name: (name,) for name in ("logs", "proj", "lost+found")}, False, frozenset({"lost+found"}))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_an_empty_folder_is_left_out_until_it_should_have_been_listed_twice() -> None:
    clock = Clock()
    empty = EmptyFolders(30.0, clock)
    assert [*(await empty.without(PROJECTS)).folders] == ["logs", "proj"]
    empty.note("logs", empty.changes, empty=True)
    empty.note("gone", empty.changes, empty=True)
    shown = await empty.without(PROJECTS)
    assert [*shown.folders] == ["proj"]
    assert await empty.without(PROJECTS) is shown, "what is made of it stands"
    assert empty.due() == []
    clock.now += 31
    assert empty.due() == ["logs", "gone"]
    assert [*(await empty.without(PROJECTS)).folders] == ["proj"]
    clock.now += 30
    assert [*(await empty.without(PROJECTS)).folders] == ["logs", "proj"]
    assert empty.due() == []


async def test_a_first_release_brings_it_back_at_once() -> None:
    empty = EmptyFolders(30.0, Clock())
    empty.note("logs", empty.changes, empty=True)
    empty.note("logs", empty.changes, empty=False)
    assert "logs" in (await empty.without(PROJECTS)).folders
    empty.note("logs", empty.changes, empty=True)
    empty.clear()
    assert "logs" in (await empty.without(PROJECTS)).folders


async def test_what_was_listed_before_anything_was_forgotten_does_not_count() -> None:
    empty = EmptyFolders(30.0, Clock())
    before = empty.changes
    empty.forget("logs")
    empty.note("logs", before, empty=True)
    assert "logs" in (await empty.without(PROJECTS)).folders
    empty.note("logs", empty.changes, empty=True)
    before = empty.changes
    empty.note("logs", before - 1, empty=False)
    assert "logs" in (await empty.without(PROJECTS)).folders
    empty.clear()
    empty.note("logs", before, empty=True)
    assert "logs" in (await empty.without(PROJECTS)).folders


async def test_few_of_many_are_listed_again_for_one_request() -> None:
    clock = Clock()
    empty = EmptyFolders(30.0, clock)
    for number in range(1000):
        empty.note(f"empty-{number}", empty.changes, empty=True)
    clock.now += 31
    assert len(empty.due()) == 20


async def test_projects_are_the_same_where_nothing_is_left_out() -> None:
    projects = Projects({"proj": ("proj",)}, False)
    assert await EmptyFolders(30.0, Clock()).without(projects) is projects
