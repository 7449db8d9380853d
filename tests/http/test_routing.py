"""Which of several things answers at a host and a path."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.routing import RoutingTable

ROUTES = [
    ("", "", "root"),
    ("", "/b", "b"),
    ("", "/b/c/d", "bcd"),
    ("b.example.org", "", "host"),
    ("b.example.org", "/x", "host x"),
    ("*.example.org", "/b", "any below"),
    ("*.deep.example.org", "", "deep"),
    ("[fd00::1]", "/b", "six"),
]
TABLE = RoutingTable(ROUTES)


def find(url: str) -> str | None:
    host, slash, path = url.partition("/")
    return TABLE.find(host, slash + path)


def test_the_longest_path_of_whole_segments_wins() -> None:
    found = {path: find(f"any.org{path}") for path in ("/", "/b", "/b/", "/bc", "/b/c", "/b/c/d", "/b/c/d/e/f", "//b")}
    assert found == {
        "/": "root",
        "/b": "b",
        "/b/": "b",
        "/bc": "root",
        "/b/c": "b",
        "/b/c/d": "bcd",
        "/b/c/d/e/f": "bcd",
        "//b": "root",
    }


def test_the_most_specific_host_wins_before_any_path() -> None:
    assert find("b.example.org/b") == "host"
    assert find("B.Example.ORG.:8080/x/y") == "host x"
    assert find("c.example.org/b/c/d") == "any below"
    assert find("d.c.example.org/b") == "any below"
    assert find("a.deep.example.org/b") == "deep"
    assert find("[FD00::1]:80/b") == "six"


def test_a_host_that_has_nothing_at_the_path_leaves_it_to_the_next() -> None:
    assert find("c.example.org/c") == "root"
    assert find("example.org/b") == "b", "*.example.org is not example.org"
    assert find("xexample.org/b") == "b"
    assert RoutingTable([("b.org", "/b", "b")]).find("b.org", "/c") is None


def test_no_host_and_what_is_no_host() -> None:
    for host in ("", ".", "..", ":80", "[", "[x", "b.example.org\x00", "a." * 200 + "example.org", "." * 255):
        assert TABLE.find(host, "/b/x") == "b"


@given(st.text("ab./:[]*", max_size=40), st.text("/abcd", max_size=20))
def test_like_a_walk_through_all_routes(host: str, path: str) -> None:
    """Whose host is the longest of those that fit, and then whose path is."""
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0].rstrip(".")
    routes = [("a.b", "", 1), ("a.b", "/a", 2), ("*.b", "/a/b", 3), ("*.a.b", "/a", 4), ("", "", 5), ("", "/a", 6)]

    def fits(route: tuple[str, str, int]) -> bool:
        wanted, prefix, _ = route
        by_host = not wanted or name == wanted or (wanted.startswith("*") and name.endswith(wanted[1:]))
        return by_host and f"/{path}/".startswith(f"{prefix}/")

    best = max(
        (route for route in routes if fits(route)),
        key=lambda route: (bool(route[0]), "*" not in route[0], len(route[0]), len(route[1])),
    )
    assert RoutingTable(routes).find(host, f"/{path}") == best[2]
