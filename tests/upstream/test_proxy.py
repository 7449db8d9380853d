import pytest

from gateway.upstream.proxy import Proxy


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy:3128", Proxy(False, "proxy", 3128)),
        ("http://proxy", Proxy(False, "proxy", 80)),
        ("https://proxy", Proxy(True, "proxy", 443)),
        ("http://[::1]:3128", Proxy(False, "::1", 3128)),
        ("http://us%40er:p%3Aw@proxy:1", Proxy(False, "proxy", 1, "Basic dXNAZXI6cDp3")),
    ],
)
def test_a_proxys_url(url: str, proxy: Proxy) -> None:
    assert Proxy.parse(url) == proxy


def test_only_a_proxy_with_a_user_is_told_who_we_are() -> None:
    assert Proxy.parse("http://proxy").headers() == {}
    assert Proxy.parse("http://user:@proxy").headers() == {"Proxy-Authorization": "Basic dXNlcjo="}
