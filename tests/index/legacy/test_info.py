"""What core metadata says, under the names of PyPI's JSON API."""

from gateway.index.legacy.info import nothing_told, told_by

METADATA = b"""Metadata-Version: 2.4
Name: Foo_Bar
Version: 1.0
Summary: Does things
Author-email: A <a@example.com>
License-Expression: MIT
License-File: LICENSE
License-File: NOTICE
Classifier: Programming Language :: Python
Classifier: Topic :: Utilities
Platform: linux
Platform: win32
Project-URL: Homepage, https://example.com/
Project-URL: Source, https://example.com/source
Requires-Python: >=3.9
Requires-Dist: a>=1
Requires-Dist: b ; extra == 'c'
Provides-Extra: c
Description-Content-Type: text/markdown

# Foo
"""


def test_all_that_it_says() -> None:
    assert told_by(METADATA) == nothing_told() | {
        "name": "Foo_Bar",
        "summary": "Does things",
        "author_email": "A <a@example.com>",
        "license_expression": "MIT",
        "license_files": ["LICENSE", "NOTICE"],
        "classifiers": ["Programming Language :: Python", "Topic :: Utilities"],
        "platform": "linux, win32",
        "project_urls": {"Homepage": "https://example.com/", "Source": "https://example.com/source"},
        "requires_python": ">=3.9",
        "requires_dist": ["a>=1", "b ; extra == 'c'"],
        "provides_extra": ["c"],
        "description_content_type": "text/markdown",
        "description": "# Foo",
    }


def test_what_it_leaves_out_is_null_as_at_pypi() -> None:
    assert told_by(b"") == nothing_told()
    found = told_by(b"Name: foo\nSummary:\nProject-URL: nowhere\n")
    assert (found["summary"], found["requires_dist"], found["classifiers"]) == (None, None, [])
    assert (found["project_urls"], found["home_page"]) == ({}, "")


def test_there_are_bounds_to_what_it_says() -> None:
    found = told_by(b"".join(b"Project-URL: %d, https://a/\n" % number for number in range(5000)))
    assert len(found["project_urls"]) == 100
    assert len(told_by(b"Classifier: x\n" * 5000)["classifiers"]) == 2000
