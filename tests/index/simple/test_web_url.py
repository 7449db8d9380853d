"""URLs that other servers hand out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.lru import MemoryLimit
from gateway.errors import UpstreamError
from gateway.index.backlog import Backlog
from gateway.index.mirror.upstream_index import UpstreamIndex
from gateway.index.simple.web_url import joined, split, without_query

BASE = "https://index.example/simple/p/"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("p-1.0.zip", f"{BASE}p-1.0.zip"),
        ("../../files/p-1.0.zip#sha256=ab", "https://index.example/files/p-1.0.zip"),
        ("//files.example/p", "https://files.example/p"),
        ("HTTPS://Files.Example:8443/P?x=1&y", "https://files.example:8443/P?x=1&y"),
        ("https://files.example", "https://files.example/"),
        ("https://[2001:db8::1]:8443/p", "https://[2001:db8::1]:8443/p"),
        ("é p%20q\n", f"{BASE}%C3%A9%20p%20q"),
    ],
)
def test_links_of_a_page(url: str, expected: str) -> None:
    assert joined(BASE, url) == expected


LONGEST_HOST = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}"
LONGEST_URL = f"https://files.example/{'x' * (8192 - 22)}"
TOO_LONG = LONGEST_URL + "x"
HOST_OR_PORT = "a URL with an invalid host or port"


@pytest.mark.parametrize(
    ("url", "refusal"),
    [
        ("", "no URL, or one over 8 KB"),
        (TOO_LONG, "no URL, or one over 8 KB"),
        ("x" * 8192, "a URL over 8 KB"),
        ("//[", r"an invalid URL \(.+\)"),
        ("//files.example:65536/", r"an invalid URL \(.+\)"),
        ("ftp://files.example/p", "a URL that is neither http nor https"),
        ("//user@files.example/p", HOST_OR_PORT),
        ("//-files.example/p", HOST_OR_PORT),
        ("//files.example:0/p", HOST_OR_PORT),
        (f"//{LONGEST_HOST}d:65535/p", HOST_OR_PORT),
        ("http://index.example/p", "a URL that leads from https to http"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_link_that_is_none_of_http_s_is_refused(url: str, refusal: str) -> None:
    with pytest.raises(ValueError, match=f"^{refusal}$"):
        joined(BASE, url)


def test_a_page_at_http_may_lead_to_https() -> None:
    assert joined("http://index.example/", "https://files.example/p") == "https://files.example/p"


@pytest.mark.parametrize("url", [LONGEST_URL, f"https://{LONGEST_HOST}:65535/p", "https://files.example:1/p"])
def test_the_longest_link_and_the_lowest_port_are_taken(url: str) -> None:
    scheme, host, target = split(url)
    assert joined(BASE, url) == f"{scheme}://{host}{target}" == url


def test_a_url_that_is_too_long_is_not_split() -> None:
    with pytest.raises(ValueError, match=r"^a URL over 8 KB$"):
        split(TOO_LONG)


@given(st.text() | st.text("/:@[].%?#a1\\").map(lambda text: f"//{text}"))
def test_whatever_comes_can_be_sent_as_it_is_or_is_refused(text: str) -> None:
    try:
        url = joined(BASE, text)
    except ValueError:
        return
    scheme, host, target = split(url)
    assert (scheme, url) == ("https", f"https://{host}{target}")
    assert url.isascii()
    assert not set(" \r\n\t@") & set(host)
    assert not set(" \r\n\t") & set(target)


def test_logs_show_no_query() -> None:
    assert without_query("https://files.example/p?X-Amz-Signature=secret?") == "https://files.example/p"
    assert without_query("https://files.example/p") == "https://files.example/p"


class Redirecting:
    """A client whose server redirects all to one place."""

    def __init__(self, location: str) -> None:
        self.status = 302
        self.headers = {"location": location}
        self.sent: list[str] = []

    async def send(self, method: str, scheme: str, host: str, target: str, headers: dict[str, str]) -> "Redirecting":
        self.sent.append(f"{scheme}://{host}{target}")
        return self

    def close(self) -> None:
        """As an answer."""


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("http://index.example/p?signature=secret", 1),
        ("ftp://index.example/p", 1),
        ("https://[::1", 1),
        ("https://index.example:99999/", 1),
        ("https://user:secret@index.example/", 1),
        ("/again?signature=secret", 6),
    ],
)
async def test_a_redirect_that_leads_nowhere_is_followed_no_further(location: str, asked: int) -> None:
    client = Redirecting(location)
    memory = MemoryLimit(10_000_000)
    remote = UpstreamIndex(
        client,  # type: ignore[arg-type]
        BASE,
        refresh=0,
        stale_if_error=0,
        memory=memory,
        refusals=memory,
        backlog=Backlog(),
    )
    with pytest.raises(UpstreamError) as failed:
        await remote.open("GET", BASE)
    assert len(client.sent) == asked
    assert "secret" not in str(failed.value)
