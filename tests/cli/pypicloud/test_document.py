"""A document in YAML is read as what was written."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.pypicloud.document import Commented, Secret, yaml_text

ODD = ["yes", "No", "null", "~", "1e3", "0x1f", "2026-01-01", "a: b", "- a", "# a", "*", "&a", "!x", "{", "=", "<<"]
ODD += ["'", '"', "\\", "\x85", "\ud7ff\U0001f600"]
texts = st.text(max_size=8) | st.sampled_from(ODD)
scalars = texts | st.booleans() | st.integers(0, 10**6)
settings = st.dictionaries(
    texts,
    scalars
    | st.lists(texts, max_size=3)
    | st.dictionaries(texts, scalars, max_size=3)
    | st.lists(
        st.dictionaries(texts, scalars | st.lists(texts, max_size=2), min_size=1, max_size=2), min_size=1, max_size=2
    ),
    min_size=1,
    max_size=4,
)


@given(st.dictionaries(st.sampled_from(["access", "storage"]), settings, min_size=1))
def test_what_is_written_is_read(document: dict[str, dict[str, object]]) -> None:
    text = yaml_text(document, "made")
    assert text.isascii()
    assert yaml.safe_load(text) == document


def test_secrets_can_be_hidden_and_remarks_made() -> None:
    document = {"storage": {"a": Secret("x y"), "b": {"c": Secret("z")}, "d": Commented("e", "why")}}
    assert yaml_text(document, "made") == '# made\nstorage:\n  a: "x y"\n  b:\n    c: z\n  d: e  # why'
    hidden = yaml_text(document, "made", hide=True)
    assert hidden == '# made\nstorage:\n  a: "(hidden)"\n  b:\n    c: "(hidden)"\n  d: e  # why'
