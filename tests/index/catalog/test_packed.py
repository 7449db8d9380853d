"""A packed listing says what the objects themselves would."""

from gateway.index.catalog.packed import PackedBatch, PackedListing
from gateway.storage.base import StoredObject


def listing(*batches: list[str]) -> PackedListing:
    made = [[StoredObject(f"root/{key}", len(key), f'"{key}"', 1.5) for key in keys] for keys in batches]
    return PackedListing([PackedBatch(objects, "root/", "index.html") for objects in made])


def test_files_are_those_of_all_batches() -> None:
    found = listing(
        ["a/p-1.0.tar.gz", "a/p-1.0.tar.gz.sha256", "b/q-1.0.tar.gz"],
        ["index.html", "p-2.0-py3-none-any.whl", "p-2.0-py3-none-any.whl.provenance"],
    )
    assert (dict(found.folders), found.has_page) == ({"p": ("p",), "q": ("q",)}, True)
    files = found.files("p")
    assert files is not None
    assert [item.key for item in files.objects] == [
        "a/p-1.0.tar.gz",
        "p-2.0-py3-none-any.whl",
        "a/p-1.0.tar.gz.sha256",
        "p-2.0-py3-none-any.whl.provenance",
    ]
    assert files.attested
    assert files.objects[1] == StoredObject("p-2.0-py3-none-any.whl", 22, '"p-2.0-py3-none-any.whl"', 1.5)
    assert found.files("r") is None


def test_what_makes_no_project() -> None:
    found = listing(
        [
            "p-1.0.tar.gz.sha256",
            ".hidden/q-1.0.tar.gz",
            "a/.hidden/s-1.0.tar.gz",
            "notes.txt",
            "bad\0name/r-1.0.tar.gz",
            "deep/er/index.html",
        ]
    )
    assert (dict(found.folders), found.has_page) == ({}, False)
    assert found.files("p") is None


def test_a_stored_page_makes_a_project() -> None:
    files = listing(["My_Lib/index.html", "my_lib-1.0.tar.gz.provenance"]).files("my-lib")
    assert files is not None
    assert (files.objects, files.with_page, files.attested) == ((), frozenset({"My_Lib"}), False)


def test_a_key_that_is_listed_twice_is_one_file() -> None:
    files = listing(["p-1.0.tar.gz"], ["p-1.0.tar.gz"]).files("p")
    assert files is not None
    assert len(files.objects) == 1


def test_a_server_may_tell_more_than_it_is_asked_for() -> None:
    found = listing(
        ["a-1.0.tar.gz"], ["notes.txt"], [f"p{number}-1.0.tar.gz" for number in range(70_000)], ["z-1.0.tar.gz"]
    )
    for name in ("a", "p0", "p4096", "p65536", "p69999", "z"):
        files = found.files(name)
        assert files is not None
        assert [item.key for item in files.objects] == [f"{name}-1.0.tar.gz"]
