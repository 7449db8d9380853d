"""Images of other hosts become links."""

import re
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.browse.images import without_remote_images


def link(url: str, text: str) -> str:
    return f'<a class="image" href="{url}" rel="noopener nofollow">{text}</a>'


URL = "https://h.example/a.png"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (f'<p>a <img src="{URL}" alt="A &lt;b&gt;"> b</p>', f"<p>a {link(URL, 'A &lt;b&gt;')} b</p>"),
        (f'<img alt="A" src="{URL}"/>', link(URL, "A")),
        (f'<img src="{URL}">', link(URL, "a.png")),
        ('<img src="http://h.example/">', link("http://h.example/", "image")),
        ('<img src="//h.example/a" alt="A">', link("//h.example/a", "A")),
        ('<img src=" \\\\h.example/a" alt="A">', link("//h.example/a", "A")),
        (
            f'<a href="/x"><b><img src="{URL}" alt="A"></b></a><img src="{URL}">',
            f'<a href="/x"><b><span class="image">A</span></b></a>{link(URL, "a.png")}',
        ),
        ('<img src="a/b.png" alt="A">', '<img src="a/b.png" alt="A">'),
        ('<img src="/b.png">', '<img src="/b.png">'),
        ('<img alt="A">', '<span class="image">A</span>'),
        ('<img src="data:image/png;base64,x" alt="A">', '<span class="image">A</span>'),
        ('<img src="javascript:x" alt="A">', '<span class="image">A</span>'),
        ('<img src="https://[h" alt="A">', '<span class="image">A</span>'),
        ('<p title="<img src=x>">&amp; &#60; &nbsp;</p>', '<p title="<img src=x>">&amp; &#60; &nbsp;</p>'),
    ],
)
def test_each_is_its_text(html: str, expected: str) -> None:
    assert without_remote_images(html) == expected


def test_https_images_may_be_allowed() -> None:
    image = '<img src="https://h.example/a.png" alt="A">'
    assert without_remote_images(image, allow_https=True) == image
    assert "<img" not in without_remote_images(image.replace("https", "http"), allow_https=True)


PARTS = ["https:", "//", "/", "h", "\\", "\t", " ", "\x01", "javascript:", "?", "#", "é", "<"]


@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_no_image_of_another_host_is_left(source: str) -> None:
    html = without_remote_images(f'<img src="{escape(source)}" alt="x">')
    assert "x" in html
    # As browsers read it (https://url.spec.whatwg.org/#url-parsing).
    read = source.strip("".join(map(chr, range(0x21)))).replace("\\", "/")
    read = re.sub("[\t\r\n]", "", read)
    if read.startswith("//") or re.match("[a-z]+:", read):
        assert "<img" not in html
