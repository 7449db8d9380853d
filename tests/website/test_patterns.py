"""Tables of paths. See test_redirects.py, too."""

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.website.patterns import PathPatterns

PATHS = st.text(alphabet="/ab.*", max_size=5).map(lambda text: f"/{text}")


@given(patterns=st.lists(PATHS.filter(lambda text: text.count("*") < 2), max_size=6), path=PATHS)
def test_the_first_that_fits_is_found(patterns: list[str], path: str) -> None:
    """As a regular expression would find it."""
    expected = None
    for number, pattern in enumerate(patterns):
        regex = ".*".join(map(re.escape, pattern.split("*")))
        if re.fullmatch(regex, path):
            expected = number
            break
    found = PathPatterns(patterns).find(path)
    assert (found[0] if found is not None else None) == expected
    if found is not None:
        assert patterns[found[0]].replace("*", found[1]) == path or "*" not in patterns[found[0]]
