"""Reads the licence of a release out of its core metadata. Pure.

https://packaging.python.org/en/latest/specifications/core-metadata/#license-expression
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from gateway.policy.licence import is_expression

# Longer expressions are not kept.
MAX_CHARACTERS = 1000
# A longer field License is no name, but a licence's text.
_MAX_NAME = 100
_PREFIX = "License :: "
_NO_LICENCE = ("OSI Approved", "DFSG approved")
_ABSENT = ("", "unknown", "none")
# In the names of classifiers: `Boost Software License 1.0 (BSL-1.0)`.
_IN_BRACKETS = re.compile(r"\(([A-Za-z0-9-]+-[0-9.]*[0-9]|MIT-CMU|0BSD|Unlicense|HPND|MirOS)\)$")
# As `_plain` writes them: gpl, lgpl v2.1+, gnu affero general public, version 3 (agplv3).
_GNU = re.compile(
    r"(?:gnu )?(?:(a|l|)gpl|(?:library or )?(affero |lesser |library |)general public)"
    r"(?:,?[ -]?(?:v\.?|version )?([123](?:\.[01])?))?"
    r"(\+|,?[ -]or[ -](?:any )?later(?: version)?)?(?:[ -]only)?(?: \(.*\))?"
)
_UNUSABLE = re.compile(r"[^A-Za-z0-9.]+")
# Some classifiers name no version, or no variant: the usual one is meant.
_BY_CLASSIFIER = {
    "Academic Free License (AFL)": "AFL-3.0",
    "Apache Software License": "Apache-2.0",
    "Artistic License": "Artistic-2.0",
    "BSD License": "BSD-3-Clause",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "CeCILL-B Free Software License Agreement (CECILL-B)": "CECILL-B",
    "CeCILL-C Free Software License Agreement (CECILL-C)": "CECILL-C",
    "European Union Public Licence 1.0 (EUPL 1.0)": "EUPL-1.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 1.0 (MPL)": "MPL-1.0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PostgreSQL License": "PostgreSQL",
    "Python License (CNRI Python License)": "CNRI-Python",
    "Python Software Foundation License": "PSF-2.0",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "University of Illinois/NCSA Open Source License": "NCSA",
    "W3C License": "W3C",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}
# The field License, as `_plain` writes it.
_BY_NAME = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache, version 2.0": "Apache-2.0",
    "apache software": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "2-clause bsd": "BSD-2-Clause",
    "3-clause bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "isc": "ISC",
    "mit": "MIT",
    "mpl 2.0": "MPL-2.0",
}


def licence_of(metadata: Mapping[str, Sequence[str]]) -> str | None:
    """The SPDX expression in License-Expression; else the licences of the classifiers, all of them: nobody knows
    whether one may choose; else the field License, if it is a name. Empty if there is none of these, and None if there
    is one that can't be used. `metadata` has values by lower-case field names."""
    expression = _first(metadata, "license-expression")
    if expression and not is_expression(expression):
        return None
    found = expression or " AND ".join(_classified(metadata.get("classifier", ())))
    if not found:
        name = _first(metadata, "license")
        found = _named(name) if len(name) <= _MAX_NAME else ""
    return found if len(found) <= MAX_CHARACTERS and found.isprintable() else None


def _first(metadata: Mapping[str, Sequence[str]], field: str) -> str:
    return next((text for value in metadata.get(field, ()) if (text := value.strip())), "")


def _classified(classifiers: Sequence[str]) -> Iterator[str]:
    names = (one.rpartition(" :: ")[2].strip()[:_MAX_NAME] for one in classifiers if one.startswith(_PREFIX))
    yield from dict.fromkeys(_by_classifier(name) for name in names if name and name not in _NO_LICENCE)


def _by_classifier(name: str) -> str:
    if (known := _BY_CLASSIFIER.get(name)) is not None:
        return known
    if (gnu := _gnu(name)) is not None:
        return gnu
    if (identifier := _IN_BRACKETS.search(name)) is not None:
        return identifier[1]
    return f"LicenseRef-{_UNUSABLE.sub('-', name).strip('-')}"


def _named(name: str) -> str:
    if name.lower() in _ABSENT:
        return ""
    return _gnu(name) or _BY_NAME.get(_plain(name), name)


def _plain(name: str) -> str:
    """In lower case, without `the` and `license`."""
    words = name.lower().removeprefix("the ").replace("license", "").replace("licence", "").split()
    return " ".join(words).replace(" ,", ",")


def _gnu(name: str) -> str | None:
    """Without a version, any is meant (GPL 2, 14)."""
    found = _GNU.fullmatch(_plain(name))
    if found is None:
        return None
    kind = found[1] or (found[2] or "")[:1]
    number = found[3] or {"": "1", "l": "2", "a": "3"}[kind]
    number += "" if "." in number else ".0"
    is_later = found[4] is not None or found[3] is None
    return f"{kind.upper()}GPL-{number}-{'or-later' if is_later else 'only'}"
