"""Which folders are listed for a project's page, and which pages wait for the root's listing."""

import asyncio
import threading
from collections.abc import Callable
from typing import ClassVar, cast

import pytest

from gateway.cache.lru import LruCache, MemoryLimit, MemoryPool
from gateway.errors import GatewayError, NotFoundError, UpstreamError
from gateway.index.catalog import folders
from gateway.index.catalog.folders import FolderCatalog
from gateway.storage.base import Children, Storage, StoredObject


class Folders:
    """A storage that can only be listed; `hold` keeps back the listing of a prefix, `errors` fails it."""

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.listed: list[str] = []
        self.hold: dict[str, asyncio.Event] = {}
        self.errors: dict[str, GatewayError] = {}
        self.now = 1000.0
        self.memory = MemoryLimit(10_000_000)

    def catalog(self, look_into: int = 0, memory: MemoryLimit | None = None) -> FolderCatalog:
        storage = cast(Storage, self)
        return FolderCatalog(
            storage,
            "",
            index_document="index.html",
            refresh=30,
            stale_if_error=1000,
            memory=memory or self.memory,
            look_into=look_into,
            clock=lambda: self.now,
        )

    async def children(self, prefix: str = "") -> Children:
        self.listed.append(prefix)
        if prefix in self.hold:
            await self.hold[prefix].wait()
        if prefix in self.errors:
            raise self.errors[prefix]
        rest = sorted(key.removeprefix(prefix) for key in self.keys if key.startswith(prefix))
        objects = [StoredObject(prefix + name, 1, '"e"', 0) for name in rest if "/" not in name]
        folders = sorted({name.partition("/")[0] for name in rest if "/" in name})
        return Children(tuple(objects), tuple(folders))

    async def is_directory(self, key: str) -> bool:
        self.listed.append(f"any of {key}")
        return any(found.startswith(key) for found in self.keys)


MANY = [f"team-{number}/team_{number}-1.0.tar.gz" for number in range(25_000)]


async def keys(catalog: FolderCatalog, project: str) -> list[str]:
    return [item.key for item in (await catalog.files(project)).value.objects]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  the storage is this test's own
            await asyncio.sleep(0)


async def test_beside_busy_mounts_the_root_is_not_listed_for_each_page() -> None:
    storage, pool = Folders(*MANY[:100]), MemoryPool(60_000)
    storage.memory, *others = (pool.share(60_000) for _ in range(4))
    catalog = storage.catalog()
    for number in range(100):
        for limit in others:
            LruCache[int, bytes](f"{number}", limit, lambda key, page: len(page)).put(number, bytes(500))
    for number in range(20):
        assert await keys(catalog, f"team-{number}")
        await catalog.projects()
    assert storage.listed.count("") == 1
    await catalog.close()


async def test_the_root_of_many_projects_is_listed_once_whatever_other_mounts_keep() -> None:
    pool = MemoryPool(6_000_000)
    storage, own = Folders(*MANY), pool.share(6_000_000)
    others: list[LruCache[str, str]] = [
        LruCache("pages", pool.share(6_000_000), lambda key, value: 10_000) for _ in range(9)
    ]
    catalog = storage.catalog(memory=own)
    for number in range(3):
        assert len((await catalog.projects()).value.folders) == len(MANY)
        for other in others:
            for page in range(100):
                other.put(f"{number} {page}", "")
    assert storage.listed == [""]


async def test_a_folder_without_a_name_is_no_project() -> None:
    storage = Folders("/p-1.0.tar.gz", "//p-1.0.tar.gz", "q/q-1.0.tar.gz")
    assert list((await storage.catalog().projects()).value.folders) == ["q"]


async def test_a_project_that_is_called_simple_costs_others_no_listing_each_time() -> None:
    storage = Folders("simple/simple-1.0.tar.gz", "p/p-1.0.tar.gz")
    catalog = storage.catalog()
    for _ in range(3):
        assert not (await catalog.has_project("q")).value
        assert (await catalog.has_project("simple")).value
    assert storage.listed.count("simple/") == 2, "as a project, and as what might hold an index"
    assert not (await catalog.has_project("r")).value
    assert storage.listed.count("simple/") == 2


async def test_an_empty_folder_is_left_out_and_listed_again_until_it_has_a_release() -> None:
    storage = Folders("p/p-1.0.tar.gz", "q/notes.txt")
    catalog = storage.catalog()

    async def names() -> list[str]:
        return [*(await catalog.projects()).value.folders]

    assert await names() == ["p", "q"]
    assert storage.listed == [""], "no folder is listed for it"
    with pytest.raises(NotFoundError):
        await catalog.files("q")
    assert await names() == ["p"]
    assert (await catalog.has_project("q")).value, "the name is ours all the same"
    storage.keys.add("q/q-1.0.tar.gz")
    storage.listed.clear()
    storage.now += 31
    assert await names() == ["p"]
    await until(lambda: "q/" in storage.listed)
    assert (await catalog.files("q")).value.objects
    assert await names() == ["p", "q"]


async def test_a_first_release_is_listed_as_soon_as_its_folder_is_forgotten() -> None:
    storage = Folders("p/p-1.0.tar.gz", "q/notes.txt", "r/notes.txt")
    catalog = storage.catalog()
    await catalog.projects()
    for project in ("q", "r"):
        with pytest.raises(NotFoundError):
            await catalog.files(project)
    assert [*(await catalog.projects()).value.folders] == ["p"]
    storage.keys.add("q/q-1.0.tar.gz")
    catalog.forget("q")
    assert [*(await catalog.projects()).value.folders] == ["p", "q"]
    await catalog.close()


@pytest.mark.parametrize("look_into", [0, 4])
async def test_a_listing_from_before_a_refresh_hides_no_first_release(look_into: int) -> None:
    storage = Folders("p/p-1.0.tar.gz", "q/notes.txt")
    catalog = storage.catalog(look_into)
    hold = storage.hold["q/"] = asyncio.Event()
    before = asyncio.ensure_future(catalog.projects() if look_into else catalog.files("q"))
    await until(lambda: "q/" in storage.listed)
    catalog.expire()
    del storage.hold["q/"]
    storage.keys.add("q/q-1.0.tar.gz")
    assert [*(await catalog.projects()).value.folders] == ["p", "q"]
    storage.keys.remove("q/q-1.0.tar.gz")  # the older listing does not have it
    hold.set()
    await asyncio.gather(before, return_exceptions=True)
    assert [*(await catalog.projects()).value.folders] == ["p", "q"]
    await catalog.close()


async def test_a_directory_s_folders_are_looked_into_if_they_are_few() -> None:
    storage = Folders("p/p-1.0.tar.gz", "q/notes.txt", "Q/q-1.0.tar.gz", "r/notes.txt", "s/index.html")
    storage.errors["s/"] = UpstreamError("denied")
    assert [*(await storage.catalog(look_into=4).projects()).value.folders] == ["p", "q", "s"]
    assert [*(await storage.catalog(look_into=3).projects()).value.folders] == ["p", "q", "r", "s"]


async def test_a_project_s_page_does_not_wait_for_the_root() -> None:
    storage = Folders("p/p-1.0.tar.gz", "P/p-2.0.tar.gz")
    storage.hold[""] = asyncio.Event()
    catalog = storage.catalog()
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    storage.hold[""].set()
    await until(lambda: storage.listed.count("") == 1)
    storage.now += 1
    assert await keys(catalog, "p") == ["P/p-2.0.tar.gz", "p/p-1.0.tar.gz"], "as soon as the root is known"
    await catalog.close()


async def test_a_root_that_takes_long_to_list_makes_no_page_an_old_one() -> None:
    storage = Folders("p/p-1.0.tar.gz", "q/q-1.0.tar.gz")
    catalog = storage.catalog()
    await catalog.projects()
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    assert await keys(catalog, "q") == ["q/q-1.0.tar.gz"]
    storage.keys |= {"p/p-2.0.tar.gz", "q/q-2.0.tar.gz"}
    storage.hold[""] = asyncio.Event()
    storage.now += 1
    catalog.expire()
    assert (await catalog.projects()).stale, "the root's page is the one that waits for it"
    found = await catalog.files("p")
    assert ([item.key for item in found.value.objects], found.stale) == (["p/p-1.0.tar.gz", "p/p-2.0.tar.gz"], False)
    assert await keys(catalog, "q") == ["q/q-1.0.tar.gz", "q/q-2.0.tar.gz"]
    storage.hold[""].set()
    await catalog.close()


async def test_a_root_that_takes_long_to_list_hides_no_project_that_is_newer_than_it() -> None:
    """The listing that it has left is new enough, but from before the upload."""
    storage = Folders("q/q-1.0.tar.gz")
    catalog = storage.catalog()
    await catalog.projects()
    storage.keys.add("new/new-1.0.tar.gz")
    storage.hold[""] = asyncio.Event()
    storage.now += 1
    catalog.forget("new")
    assert (await catalog.projects()).stale
    assert await keys(catalog, "new") == ["new/new-1.0.tar.gz"]
    storage.hold[""].set()
    await catalog.close()


async def test_a_folder_is_not_taken_for_empty_by_half_of_what_a_project_has() -> None:
    storage = Folders("my-lib/notes.txt", "My_Lib/my_lib-1.0.tar.gz", "p/p-1.0.tar.gz", "q/notes.txt")
    catalog = storage.catalog()
    storage.errors[""] = UpstreamError("down")
    for name in ("my-lib", "q"):
        with pytest.raises(NotFoundError):
            await catalog.files(name)
    del storage.errors[""]
    storage.now += 5
    assert [*(await catalog.projects()).value.folders] == ["my-lib", "p", "q"]
    with pytest.raises(NotFoundError):
        await catalog.files("q")
    assert [*(await catalog.projects()).value.folders] == ["my-lib", "p"], "now all of it is known"
    assert await keys(catalog, "my-lib") == ["My_Lib/my_lib-1.0.tar.gz", "my-lib/notes.txt"]


async def test_where_the_root_comes_soon_no_page_lacks_a_file() -> None:
    storage = Folders("p/p-1.0.tar.gz", "P/p-2.0.tar.gz")
    storage.hold[""] = asyncio.Event()
    catalog = storage.catalog()
    asking = asyncio.ensure_future(keys(catalog, "p"))
    await until(lambda: storage.listed == ["p/", ""] or storage.listed == ["", "p/"])
    storage.hold[""].set()
    assert await asking == ["P/p-2.0.tar.gz", "p/p-1.0.tar.gz"]
    assert sorted(storage.listed) == ["", "P/", "p/"]


async def test_a_new_project_is_ours_as_soon_as_the_root_may_tell() -> None:
    storage = Folders("q/q-1.0.tar.gz")
    catalog = storage.catalog()
    await catalog.projects()
    storage.keys.add("p/p-1.0.tar.gz")
    storage.now += 22
    assert not (await catalog.has_project("p")).value, "the root's listing is believed"
    storage.now += 9
    assert (await catalog.has_project("p")).value, "and what follows from it no longer than itself"
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    await catalog.close()


async def test_a_new_project_has_its_page_as_soon_as_the_root_may_tell() -> None:
    storage = Folders("q/q-1.0.tar.gz")
    catalog = storage.catalog()
    await catalog.projects()
    storage.keys.add("p/p-1.0.tar.gz")
    storage.now += 22
    with pytest.raises(NotFoundError):
        await catalog.files("p")
    storage.now += 9
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    await catalog.close()


async def test_a_project_that_a_newer_listing_of_the_root_shows_is_ours() -> None:
    storage = Folders("q/q-1.0.tar.gz")
    catalog = storage.catalog()
    assert not (await catalog.has_project("p")).value
    storage.now += 10
    storage.keys.add("p/p-1.0.tar.gz")
    catalog.forget("another")
    assert "p" in (await catalog.projects()).value.folders
    storage.errors["p/"] = UpstreamError("down")
    with pytest.raises(UpstreamError, match="down"):  # not that there is no such project
        await catalog.has_project("p")
    storage.errors.clear()
    assert (await catalog.has_project("p")).value
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    storage.listed.clear()
    assert (await catalog.has_project("p")).value
    assert storage.listed == []
    await catalog.close()


async def test_many_folders_are_not_listed_again_for_each_page() -> None:
    storage = Folders(*MANY, "team-7/team_7-2.0.tar.gz", "Team_7/team_7-3.0.tar.gz")
    catalog = storage.catalog()
    await catalog.projects()  # on a slow machine it takes longer than a page waits for it
    assert len(await keys(catalog, "team-7")) == 3
    storage.now += 31
    storage.listed.clear()
    assert len(await keys(catalog, "team-7")) == 3, "with the other spelling, as the root was known last"
    assert sorted(storage.listed) == ["Team_7/", "team-7/"]
    storage.listed.clear()
    storage.keys.add("new/new-1.0.tar.gz")
    assert await keys(catalog, "new") == ["new/new-1.0.tar.gz"], "whatever the root has said"
    assert storage.listed == ["new/"]
    with pytest.raises(NotFoundError):
        await catalog.files("nope")
    assert storage.listed == ["new/", "nope/"]
    storage.now += 26
    await catalog.projects()
    await until(lambda: "" in storage.listed)  # in the last quarter of 75 s, with 25,000 folders
    await catalog.close()


async def test_a_folder_that_is_spelled_otherwise_does_not_wait_for_a_root_that_is_known() -> None:
    storage = Folders(*MANY, "My_Lib/my_lib-1.0.tar.gz", "Old.Lib/old_lib-1.0.tar.gz")
    catalog = storage.catalog()
    await catalog.projects()
    storage.now += 100
    storage.hold[""] = asyncio.Event()
    storage.listed.clear()
    async with asyncio.timeout(20):
        assert await keys(catalog, "my-lib") == ["My_Lib/my_lib-1.0.tar.gz"]
    assert storage.listed.count("") <= 1, "it is listed anew meanwhile"
    storage.keys -= {"Old.Lib/old_lib-1.0.tar.gz"}
    storage.keys |= {"Old_Lib/old_lib-1.0.tar.gz"}
    moved = asyncio.ensure_future(keys(catalog, "old-lib"))
    await until(lambda: "Old.Lib/" in storage.listed)
    storage.hold[""].set()
    assert await moved == ["Old_Lib/old_lib-1.0.tar.gz"], "where nothing is left of what was known, the root has to say"
    await catalog.close()


async def test_few_folders_are_told_by_the_root_alone() -> None:
    storage = Folders("p/p-1.0.tar.gz", "My_Lib/my_lib-1.0.tar.gz")
    catalog = storage.catalog()
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    storage.listed.clear()
    for name in ("a", "b", "c"):
        with pytest.raises(NotFoundError):
            await catalog.files(name)
    assert storage.listed == []
    assert await keys(catalog, "my-lib") == ["My_Lib/my_lib-1.0.tar.gz"]


async def test_a_folder_that_is_spelled_otherwise_is_found_from_cold_and_once_it_comes() -> None:
    storage = Folders("My_Lib/my_lib-1.0.tar.gz")
    catalog = storage.catalog()
    assert await keys(catalog, "my-lib") == ["My_Lib/my_lib-1.0.tar.gz"]
    storage.keys |= {"my-lib/my_lib-2.0.tar.gz", "MY.LIB/my_lib-3.0.tar.gz"}
    storage.now += 1
    catalog.expire()
    found = await keys(catalog, "my-lib")
    assert found == ["MY.LIB/my_lib-3.0.tar.gz", "My_Lib/my_lib-1.0.tar.gz", "my-lib/my_lib-2.0.tar.gz"]


async def test_one_project_is_forgotten_with_folders_that_are_spelled_otherwise() -> None:
    storage = Folders("My_Lib/my_lib-1.0.tar.gz", "p/p-1.0.tar.gz")
    catalog = storage.catalog()
    await catalog.projects()
    assert await keys(catalog, "my-lib") == ["My_Lib/my_lib-1.0.tar.gz"]
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    storage.keys |= {"my-lib/my_lib-2.0.tar.gz", "MY.LIB/my_lib-3.0.tar.gz", "p/p-2.0.tar.gz"}
    storage.now += 1
    catalog.forget("my-lib")
    found = await keys(catalog, "my-lib")
    assert found == ["MY.LIB/my_lib-3.0.tar.gz", "My_Lib/my_lib-1.0.tar.gz", "my-lib/my_lib-2.0.tar.gz"]
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"], "it was not forgotten"


async def test_a_root_that_is_costly_to_list_is_listed_again_only_for_a_new_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folders, "_FOLDERS_PER_REFRESH", 1)
    storage = Folders("p/p-1.0.tar.gz", "q/q-1.0.tar.gz")
    catalog = storage.catalog()
    await catalog.projects()
    storage.now += 1
    catalog.forget("p")
    await catalog.projects()
    assert storage.listed.count("") == 1
    storage.keys.add("new/new-1.0.tar.gz")
    catalog.forget("new")
    assert set((await catalog.projects()).value.folders) == {"p", "q", "new"}


async def test_whose_name_it_is_is_known_or_not_said() -> None:
    storage = Folders("empty/deeper/x", "My_Lib/x", "p/p-1.0.tar.gz")
    catalog = storage.catalog()
    assert [(await catalog.has_project(name)).value for name in ("empty", "my-lib", "p", "x")] == [True] * 3 + [False]
    storage.now += 31
    storage.errors[""] = UpstreamError("down")
    for name, known in [("empty", True), ("p", True), ("my-lib", True)]:
        assert (await catalog.has_project(name)).value is known
    other = storage.catalog()
    assert (await other.has_project("p")).value
    with pytest.raises(UpstreamError):
        await other.has_project("my-lib")
    for name in ("x", "unheard-of"):
        with pytest.raises(UpstreamError):
            await catalog.has_project(name)


async def test_a_package_file_beside_the_folders_makes_its_project_ours_though_it_is_not_shown() -> None:
    for keys in (["My_Lib-1.0.tar.gz", "p/p-1.0.tar.gz"], ["My_Lib-1.0.tar.gz"]):
        catalog = Folders(*keys, "notes-1.0.txt", "other-1.0.tar.gz.sha256").catalog()
        assert (await catalog.has_project("my-lib")).value
        with pytest.raises(NotFoundError):
            await catalog.files("my-lib")
    assert list((await Folders(*keys, "p/p-1.0.tar.gz").catalog().projects()).value.folders) == ["p"]
    with pytest.raises(NotFoundError, match="no projects"):
        await catalog.projects()
    for name in ("notes", "other", "x"):
        assert not (await catalog.has_project(name)).value


async def test_a_root_that_must_not_be_listed_keeps_no_folder_from_being_served() -> None:
    storage = Folders("p/p-1.0.tar.gz")
    storage.errors[""] = NotFoundError("denied", code="AccessDenied")
    catalog = storage.catalog()
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    storage.listed.clear()
    storage.now += 20
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    assert storage.listed == [], "for as long as any listing"
    with pytest.raises(NotFoundError, match="no permission"):
        await catalog.files("q")


async def test_a_listing_that_is_refused_after_it_was_permitted_is_an_outage_for_as_long_as_it_is_believed() -> None:
    """Of a project that nobody has asked for yet, nothing is known that could stand in."""
    storage = Folders("p/p-1.0.tar.gz", "q/q-1.0.tar.gz")
    catalog = storage.catalog()
    assert await keys(catalog, "p") == ["p/p-1.0.tar.gz"]
    storage.errors = dict.fromkeys(["", "p/", "q/"], NotFoundError("denied", code="AccessDenied"))
    storage.now += 1029
    with pytest.raises(UpstreamError, match="denied"):
        await catalog.files("q")
    storage.now += 2
    with pytest.raises(NotFoundError, match="no permission"):
        await catalog.files("q")


async def test_a_listing_that_fails_in_another_way_than_a_refusal_is_an_outage() -> None:
    storage = Folders("p/p-1.0.tar.gz")
    storage.errors = dict.fromkeys(["", "p/"], NotFoundError("no such bucket", code="NoSuchBucket"))
    catalog = storage.catalog()
    with pytest.raises(UpstreamError, match="no such bucket"):
        await catalog.files("p")
    # The root, which the project's page can do without only where listing it is not permitted.
    del storage.errors["p/"]
    found = await catalog.files("p")
    assert [item.key for item in found.value.objects] == ["p/p-1.0.tar.gz"]
    storage.now += 2
    asked = storage.listed.count("p/")
    await catalog.files("p")
    assert storage.listed.count("p/") == asked + 1, "what may lack files is listed again after a second"


async def test_whether_there_is_a_folder_costs_no_listing_of_the_root() -> None:
    storage = Folders("simple/p/index.html")
    catalog = storage.catalog()
    assert await catalog.may_have_folder("simple")
    assert not await catalog.may_have_folder("nope")
    assert storage.listed == ["any of simple/", "any of nope/"]
    await catalog.projects()
    storage.listed.clear()
    assert [await catalog.may_have_folder(name) for name in ("simple", "Simple")] == [True, False]
    assert storage.listed == []


class Noting(str):
    """A key that notes which threads take it apart."""

    threads: ClassVar[set[threading.Thread]] = set()

    def removeprefix(self, prefix: str, /) -> str:
        self.threads.add(threading.current_thread())
        return super().removeprefix(prefix)

    def __eq__(self, other: object) -> bool:
        self.threads.add(threading.current_thread())
        return super().__eq__(other)

    __hash__ = str.__hash__


async def test_a_listing_of_many_files_is_put_together_and_compared_off_the_loop() -> None:
    class Many(Folders):
        async def children(self, prefix: str = "") -> Children:
            objects = (StoredObject(Noting(f"p/p-{number}.tar.gz"), 1, '"e"', 0) for number in range(1000))
            return Children(tuple(objects), ()) if prefix else Children((), ("p",))

    storage = Many()
    catalog = storage.catalog()
    files = (await catalog.files("p")).value
    storage.now += 1
    catalog.expire()
    assert (await catalog.files("p")).value is files
    assert len(files.objects) == 1000
    assert Noting.threads
    assert threading.main_thread() not in Noting.threads


async def test_what_has_not_changed_stays_the_same_object() -> None:
    storage = Folders("p/p-1.0.tar.gz")
    catalog = storage.catalog()
    files, projects = (await catalog.files("p")).value, (await catalog.projects()).value
    storage.now += 1
    catalog.expire()
    assert (await catalog.files("p")).value is files
    assert (await catalog.projects()).value is projects
    storage.keys.add("p/p-2.0.tar.gz")
    storage.now += 1
    catalog.expire()
    assert (await catalog.files("p")).value is not files
