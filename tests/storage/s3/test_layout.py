import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.storage.s3.layout import Layout


def test_without_a_hash_only_the_prefix_is_added() -> None:
    layout = Layout("pypi/")
    assert layout.object_name("arrow/arrow-0.12.1.tar.gz") == "pypi/arrow/arrow-0.12.1.tar.gz"
    assert layout.key("pypi/arrow/arrow-0.12.1.tar.gz") == "arrow/arrow-0.12.1.tar.gz"
    assert layout.listing_prefix("arrow/") == "pypi/arrow/"


def test_pypiclouds_layout() -> None:
    # `calculate_path` of pypicloud's object_store.py: md5 of the file's name alone, four digits of it
    file = "mypkg-1.1.tar.gz"
    expected = f"pypi/{hashlib.md5(file.encode()).hexdigest()[:4]}/mypkg/{file}"
    layout = Layout("pypi/", prepend_hash=True)
    assert layout.object_name(f"mypkg/{file}") == expected
    assert layout.key(expected) == f"mypkg/{file}"
    assert layout.listing_prefix("mypkg/") == "pypi/", "a project's files lie below many hashes"


@pytest.mark.parametrize("key", ["index.html", "mypkg/index.html", "mypkg/", "a/b/c.whl", "top.whl", "", "/file"])
def test_what_is_no_package_file_is_where_it_would_be(key: str) -> None:
    assert Layout("", prepend_hash=True).object_name(key) == key


def test_objects_that_no_key_leads_to_are_none() -> None:
    layout = Layout("", prepend_hash=True)
    assert layout.key("mypkg/mypkg-1.1.tar.gz") is None, "it would be asked for below its hash"
    assert layout.key("0000/mypkg/mypkg-1.1.tar.gz") == "0000/mypkg/mypkg-1.1.tar.gz"


def test_an_object_has_one_key() -> None:
    layout = Layout("pypi/", prepend_hash=True)
    file = "mypkg-1.1.tar.gz"
    digest = hashlib.md5(file.encode()).hexdigest()[:4]
    assert not layout.is_alias(f"mypkg/{file}")
    assert layout.is_alias(f"{digest}/mypkg/{file}"), "it would lead to the same object"
    assert not layout.is_alias(f"0000/mypkg/{file}"), "another object, which has no other key"
    assert not layout.is_alias(f"{digest}/mypkg/index.html")
    assert not Layout("pypi/").is_alias(f"{digest}/mypkg/{file}")


@given(st.text(), st.booleans())
def test_there_and_back(key: str, prepend_hash: bool) -> None:
    layout = Layout("pypi/", prepend_hash=prepend_hash)
    back = layout.key(layout.object_name(key))
    assert back is not None
    assert layout.object_name(back) == layout.object_name(key)
    assert layout.is_alias(key) == (back != key)
