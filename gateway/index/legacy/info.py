"""What the core metadata of a release says of it, under the names of PyPI's JSON API. Pure.

https://docs.pypi.org/api/json/
https://packaging.python.org/en/latest/specifications/core-metadata/
"""

from collections.abc import Sequence
from typing import Any

from gateway.index.wheels.core_metadata import parse

_TEXTS = {
    "author": "author",
    "author_email": "author-email",
    "description_content_type": "description-content-type",
    "download_url": "download-url",
    "home_page": "home-page",
    "keywords": "keywords",
    "license": "license",
    "license_expression": "license-expression",
    "maintainer": "maintainer",
    "maintainer_email": "maintainer-email",
    "name": "name",
    "requires_python": "requires-python",
    "summary": "summary",
    "description": "description",
}
_LISTS = {
    "dynamic": "dynamic",
    "license_files": "license-file",
    "provides_extra": "provides-extra",
    "requires_dist": "requires-dist",
}
_CLASSIFIER, _PLATFORM, _URL = "classifier", "platform", "project-url"
_MORE = frozenset({*_TEXTS.values(), *_LISTS.values(), _CLASSIFIER, _PLATFORM, _URL} - {"description"})
_MAX_URLS = 100


def nothing_told() -> dict[str, Any]:
    """Of a release without readable metadata. As at PyPI, some members are never null: Renovate refuses others."""
    return {
        **dict.fromkeys([*_TEXTS, *_LISTS, "platform"]),
        "home_page": "",
        "project_urls": {},
        "classifiers": [],
        "bugtrack_url": None,
        "docs_url": None,
        "downloads": {"last_day": -1, "last_week": -1, "last_month": -1},
    }


def told_by(metadata: bytes) -> dict[str, Any]:
    """As `nothing_told`, with what there is."""
    fields = parse(metadata, _MORE)
    return {
        **nothing_told(),
        **{name: text for name, field in _TEXTS.items() if (text := next(iter(fields.get(field, ())), None))},
        **{name: [*fields[field]] for name, field in _LISTS.items() if field in fields},
        "classifiers": [*fields.get(_CLASSIFIER, ())],
        "platform": ", ".join(fields.get(_PLATFORM, ())) or None,
        "project_urls": _urls(fields.get(_URL, ())),
    }


def _urls(values: Sequence[str]) -> dict[str, str]:
    pairs = (value.partition(",")[::2] for value in values[:_MAX_URLS])
    return {label.strip(): url.strip() for label, url in pairs if url.strip()}
