"""Licence expressions: what nobody can avoid."""

import pytest

from gateway.policy.licence import has_licence


@pytest.mark.parametrize(
    ("expression", "patterns", "expected"),
    [
        ("MIT", ["MIT"], True),
        ("mit", ["MIT"], True),
        ("MIT", ["Apache-*"], False),
        ("GPL-3.0-or-later", ["GPL-*"], True),
        ("MIT OR GPL-3.0-only", ["GPL-*"], False),
        ("GPL-2.0-only OR GPL-3.0-only", ["GPL-*"], True),
        ("MIT AND GPL-3.0-only", ["GPL-*"], True),
        ("MIT OR (Apache-2.0 AND GPL-3.0-only)", ["GPL-*"], False),
        ("(MIT OR GPL-3.0-only) AND AGPL-3.0-only", ["AGPL-*"], True),
        ("MIT OR Apache-2.0 AND GPL-3.0-only", ["GPL-*"], False),  # AND binds closer
        ("GPL-2.0-only WITH Classpath-exception-2.0", ["GPL-*"], True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ["GPL-2.0-only WITH Classpath-*"], True),
        ("GPL-2.0-only WITH", ["GPL-2.0-only WITH"], True),  # no expression: one licence, by its text
        ("The MIT License", ["the mit*"], True),
        ("The MIT License", ["MIT"], False),
        ("GPL-3.0 (see LICENSE)", ["GPL-*"], True),
        ("", ["*"], True),
        ("", ["MIT"], False),
        ("(" * 5000, ["(*"], True),
        ("MIT OR", ["MIT"], False),
        ("MIT)", ["MIT"], False),
        ("AND", ["AND"], True),
        (" AND ".join(["MIT"] * 5000), ["GPL-*"], False),
    ],
)
def test_expressions(expression: str, patterns: list[str], expected: bool) -> None:
    assert has_licence(expression, patterns) is expected
