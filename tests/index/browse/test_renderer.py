"""READMEs, rendered: good ones, and such as take all there is."""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.index.browse.readme import MAX_README_CHARS, Readme
from gateway.index.browse.renderer import Renderer, RenderError
from tests.support.eventually import eventually

MARKDOWN, RST, PLAIN = "text/markdown", "text/x-rst", "text/plain"
HELLO = Readme(MARKDOWN, "GFM", "# Hello")


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    renderer = Renderer(seconds=20)
    yield renderer
    await renderer.close()


async def test_each_kind_as_it_is_meant(renderer: Renderer) -> None:
    for kind, text, expected in [
        (MARKDOWN, "# Title\n\n*text*", "<em>text</em>"),
        (RST, "Title\n=====\n\n*text*", "<em>text</em>"),
        (RST, ".. include:: /etc/passwd\n\nx", "<pre>.. include:: /etc/passwd"),
        (RST, "*unclosed", "<pre>*unclosed"),
        (PLAIN, "<b>1 < 2</b>", "<pre>&lt;b&gt;1 &lt; 2&lt;/b&gt;</pre>"),
        (MARKDOWN, "x" * (MAX_README_CHARS + 1), "<pre>xxx"),
        (MARKDOWN, "ключ 🔑 \u2028 \x00", "ключ 🔑"),
        ("nonsense", "a & b", "<pre>a &amp; b</pre>"),
        (MARKDOWN, "[x](javascript:alert(1))", ">x</a>"),
        (MARKDOWN, "", ""),
    ]:
        html = await renderer.html(Readme(kind, "GFM", text))
        assert expected in html
        assert "root:" not in html
        assert "javascript:" not in html


@pytest.mark.parametrize("allowed", [False, True])
async def test_images_of_other_hosts_stay_only_where_they_are_allowed(allowed: bool) -> None:
    renderer = Renderer(remote_images=allowed, seconds=20)
    for kind, text in [
        (MARKDOWN, "![Logo](https://h.example/logo.png)"),
        (MARKDOWN, '<img src="https://h.example/logo.png" alt="Logo">'),
        (RST, ".. image:: https://h.example/logo.png\n   :alt: Logo\n"),
    ]:
        html = await renderer.html(Readme(kind, "GFM", text))
        assert ("<img" in html) is allowed
        assert ('<a class="image" href="https://h.example/logo.png"' in html) is not allowed
        assert "Logo" in html
    await renderer.close()


EVIL = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<a href='javascript:x'>y</a>", "<iframe src=//x>"]


async def test_nothing_in_it_can_do_harm(renderer: Renderer) -> None:
    for text in [*EVIL, ".. raw:: html\n\n   <script>alert(1)</script>\n", "<style>*{display:none}</style>"]:
        for kind in (MARKDOWN, RST, PLAIN):
            html = (await renderer.html(Readme(kind, "GFM", f"Text.\n\n{text}\n"))).lower()
            for tag in ("<script", "<iframe", "<style", 'href="javascript'):
                assert tag not in html
            assert not re.search(r"<[^>]*onerror", html)


async def test_nothing_in_it_looks_or_works_like_a_part_of_the_page(renderer: Renderer) -> None:
    """The script of the page makes whatever is `.copy` put the text before it into the clipboard."""
    for kind, text in [
        (MARKDOWN, '<div class="command"><code class="x">pip install evil</code><span class="copy">Copy</span></div>'),
        (MARKDOWN, '<p class="notice">archived</p>\n\n```python\nimport x\n```\n\n<img class="copy" src="https://x/">'),
        (RST, ".. container:: copy\n\n   text\n\n.. class:: notice\n\nmore\n"),
    ]:
        html = await renderer.html(Readme(kind, "GFM", text))
        ours = 'class="image"'  # of a link in place of an image
        assert "class=" not in html.replace(ours, "")
        assert "<pre>" not in html[:5], "it has been rendered"


TABLE = "|" + "a|" * 30_000 + "\n|" + "-|" * 30_000 + "\n" + "|a\n" * 100
DEEP = "\n\n".join(" " * (2 * depth) + "* x" for depth in range(250))
SUBSTITUTED = f".. |a| replace:: {'x ' * 20_000}\n\n" + "|a| " * 10_000


@pytest.mark.parametrize(("kind", "text"), [(MARKDOWN, TABLE), (RST, DEEP), (RST, SUBSTITUTED)])
async def test_one_that_takes_all_there_is_is_shown_as_it_is(
    renderer: Renderer, kind: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    readme = Readme(kind, "GFM", text)
    assert await renderer.html(readme) == readme.as_text()
    assert len(caplog.records) <= 1
    assert len(caplog.text) < 1000
    assert "Hello<a" in await renderer.html(HELLO), "the next one is rendered"


async def test_a_process_that_hangs_is_replaced() -> None:
    renderer = Renderer(seconds=0.2, program="import time; time.sleep(1000)")
    asking = asyncio.ensure_future(renderer.html(HELLO))
    await eventually(lambda: renderer.pid is not None)
    pid = renderer.pid
    assert await asking == HELLO.as_text()
    assert renderer.pid is None
    assert pid is not None
    assert not is_running(pid)


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit",
        "import os; os.abort()",
        "import sys; sys.stdout.buffer.write(bytes([255] * 100)); sys.stdout.flush(); sys.stdin.read()",
        "import sys; sys.stdout.buffer.write(bytes([0, 0, 0, 1, 255])); sys.stdout.flush(); sys.stdin.read()",
        "import sys; sys.stderr.write('x' * 10**7)",
    ],
)
async def test_no_answer_of_the_process_can_do_more_than_show_the_text(program: str) -> None:
    renderer = Renderer(program=program)
    for _ in range(2):
        assert await renderer.html(HELLO) == HELLO.as_text()
        assert renderer.pid is None


async def test_it_is_one_process_and_it_leaves_when_there_is_nothing_to_do() -> None:
    renderer = Renderer(seconds=20, idle_seconds=0.05)
    asking = asyncio.gather(*(renderer.html(Readme(MARKDOWN, "GFM", f"# {number}")) for number in range(5)))
    seen = set()
    while not asking.done():
        seen.add(renderer.pid)
        await asyncio.sleep(0)
    assert [f"{number}<a" in html for number, html in enumerate(await asking)] == [True] * 5
    (pid,) = seen - {None}
    assert pid is not None
    await eventually(lambda: renderer.pid is None and not is_running(pid))
    assert "Hello<a" in await renderer.html(HELLO)
    await renderer.close()


async def test_one_who_waits_behind_others_for_too_long_may_try_again() -> None:
    renderer = Renderer(seconds=0.2)
    async with renderer._turn:
        with pytest.raises(RenderError, match="too long"):
            await renderer.html(HELLO)


async def test_one_that_is_given_up_leaves_no_half_answer_to_the_next() -> None:
    renderer = Renderer(seconds=20)
    await renderer.html(HELLO)
    first = asyncio.ensure_future(renderer.html(Readme(MARKDOWN, "GFM", "# First")))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert "Second<a" in await renderer.html(Readme(MARKDOWN, "GFM", "# Second"))
    await renderer.close()


async def test_the_process_has_nothing_of_our_environment_and_ends_with_us(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
    renderer = Renderer(seconds=20)
    await renderer.html(HELLO)
    process = renderer._process
    assert process is not None
    assert b"the-secret" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    assert os.readlink(f"/proc/{process.pid}/fd/2") == "/dev/null"
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 ", limits)
    assert re.search(r"Max data size +83886080 ", limits)
    assert process.stdin is not None
    process.stdin.close()  # as our end does
    assert await process.wait() == 0
    await renderer.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
