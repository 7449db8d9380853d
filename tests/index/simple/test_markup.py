"""How many links a page may have before it is read."""

import pytest

from gateway.index.simple.markup import check_markup, count
from gateway.index.simple.static_page import read

MOST = [("<", 200_000), ("=", 1_500_000), ("&", 150_000)]


@pytest.mark.parametrize(("character", "most"), MOST)
def test_a_page_has_no_more_markup_than_can_be_read_in_seconds(character: str, most: int) -> None:
    check_markup(character * most + "x" * 3_000_000)
    with pytest.raises(ValueError, match=r"^it has more links than any page$"):
        check_markup("x" * 3_000_000 + character * (most + 1))


def test_all_characters_count_together() -> None:
    check_markup("<" * 199_998 + "=" * 5 + "&")
    with pytest.raises(ValueError, match="more links"):
        check_markup("<" * 199_998 + "=" * 6 + "&")


def test_a_static_page_is_counted_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="more links"):
        read("<" * 200_001)


@pytest.mark.parametrize("length", [0, 1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 3_000_000])
def test_no_character_is_missed_or_counted_twice(length: int) -> None:
    assert count("<" * length, "<") == length
