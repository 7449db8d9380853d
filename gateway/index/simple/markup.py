"""Limits the markup of a page that others made, because each of its links becomes an object. Pure."""

# What these characters cost: a reference (`&gt;`) costs most time, a link most memory. 20,000 links cost two million.
_COSTS = {"<": 15, "=": 2, "&": 20}
_MAX_COST = 3_000_000
# So many are counted at once: no other thread runs meanwhile.
_COUNTED_CHARS = 1024 * 1024


def check_markup(page: str) -> None:
    """Raises ValueError if reading the page would take too long: that many links take some 3 s and 100 MB."""
    if sum(count(page, character) * cost for character, cost in _COSTS.items()) > _MAX_COST:
        raise ValueError("it has more links than any page")


def count(text: str, character: str) -> int:
    """The same as `text.count(character)`, counted part by part."""
    return sum(text.count(character, at, at + _COUNTED_CHARS) for at in range(0, len(text), _COUNTED_CHARS))
