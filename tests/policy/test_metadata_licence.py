"""What core metadata says of the licence."""

import pytest

from gateway.policy.licence import has_licence
from gateway.policy.metadata_licence import licence_of

OSI = "License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, ""),
        ({"license-expression": ["MIT OR Apache-2.0"]}, "MIT OR Apache-2.0"),
        ({"license-expression": [" MIT "], "classifier": [OSI + "ISC License (ISCL)"], "license": ["BSD"]}, "MIT"),
        ({"license-expression": [""], "classifier": [OSI + "ISC License (ISCL)"], "license": ["BSD"]}, "ISC"),
        ({"classifier": ["Topic :: Utilities", OSI + "MIT License", OSI + "MIT License"]}, "MIT"),
        ({"classifier": [OSI + "MIT License", OSI + "BSD License"]}, "MIT AND BSD-3-Clause"),
        ({"classifier": [OSI + "Apache Software License"]}, "Apache-2.0"),
        ({"classifier": [OSI + "Mozilla Public License 2.0 (MPL 2.0)"]}, "MPL-2.0"),
        ({"classifier": [OSI + "Boost Software License 1.0 (BSL-1.0)"]}, "BSL-1.0"),
        ({"classifier": [OSI + "The Unlicense (Unlicense)"]}, "Unlicense"),
        ({"classifier": [OSI + "GNU General Public License (GPL)"]}, "GPL-1.0-or-later"),
        ({"classifier": [OSI + "GNU General Public License v2 (GPLv2)"]}, "GPL-2.0-only"),
        ({"classifier": [OSI + "GNU Lesser General Public License v3 or later (LGPLv3+)"]}, "LGPL-3.0-or-later"),
        ({"classifier": [OSI + "GNU Library or Lesser General Public License (LGPL)"]}, "LGPL-2.0-or-later"),
        ({"classifier": [OSI + "GNU Affero General Public License v3"]}, "AGPL-3.0-only"),
        ({"classifier": ["License :: Other/Proprietary License"]}, "LicenseRef-Other-Proprietary-License"),
        ({"classifier": ["License :: OSI Approved", "License :: "], "license": ["MIT"]}, "MIT"),
        ({"license": ["The MIT License"]}, "MIT"),
        ({"license": ["Apache License, Version 2.0"]}, "Apache-2.0"),
        ({"license": ["BSD-2-Clause"]}, "BSD-2-Clause"),
        ({"license": ["GPL"]}, "GPL-1.0-or-later"),
        ({"license": ["AGPL"]}, "AGPL-3.0-or-later"),
        ({"license": ["GPLv3"]}, "GPL-3.0-only"),
        ({"license": ["LGPL v2.1+"]}, "LGPL-2.1-or-later"),
        ({"license": ["GNU GPL 2 or later"]}, "GPL-2.0-or-later"),
        ({"license": ["GNU General Public License v3 (GPLv3)"]}, "GPL-3.0-only"),
        ({"license": ["GNU Lesser General Public License, version 2.1 or later"]}, "LGPL-2.1-or-later"),
        ({"license": ["GNU AFFERO GENERAL PUBLIC LICENCE Version 3"]}, "AGPL-3.0-only"),
        ({"license": ["GPLv3 License"]}, "GPL-3.0-only"),
        ({"license": ["GPLv2 or whatever"]}, "GPLv2 or whatever"),
        ({"license": ["Ours alone"]}, "Ours alone"),
        ({"license": ["UNKNOWN"]}, ""),
        ({"license": ["Permission is hereby granted, " * 4]}, ""),
        ({"license-expression": ["MIT\x1b[2J"]}, None),
        ({"license-expression": ["MIT OR " * 200 + "MIT"]}, None),
        ({"license-expression": ["MIT AND " * 120 + "GPL-3.0-only"]}, None),
        ({"license-expression": ["(" * 300 + "MIT" + ")" * 300]}, None),
        ({"license-expression": ["MIT/GPL-3.0-only"], "license": ["MIT"]}, None),
        ({"license-expression": ["(GPL-3.0-only"]}, None),
        ({"license-expression": ["MIT AND"]}, None),
        ({"license-expression": ["MIT WITH AND"]}, None),
        ({"classifier": [f"License :: {number}" for number in range(2000)]}, None),
        ({"classifier": ["License :: " + "(-1" * 30_000]}, "LicenseRef" + "-1" * 33),
    ],
)
def test_a_licence(metadata: dict[str, list[str]], expected: str | None) -> None:
    assert licence_of(metadata) == expected


def test_the_names_of_classifiers_fit_patterns() -> None:
    gpl = OSI + "GNU General Public License v3 (GPLv3)"
    found = licence_of({"classifier": [OSI + "MIT License", gpl]})
    assert found is not None
    assert has_licence(found, ["GPL-*"])
