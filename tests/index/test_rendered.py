"""Pages are made once for as long as what they are made of stands."""

from gateway.index.rendered import RenderedPages


def test_a_page_is_made_anew_when_a_source_or_its_version_changes() -> None:
    pages = RenderedPages()
    made = []

    def render() -> bytes:
        made.append(1)
        return b"page %d " % len(made) * 500

    source, other = ("source",), ("other",)
    first = pages.get("slot", None, [source], 1, render)
    assert pages.get("slot", None, [source], 1, render) is first
    assert pages.get("slot", None, [source], 2, render).etag != first.etag
    assert pages.get("slot", None, [other], 2, render).body.startswith(b"page 3")
    assert pages.get("slot", None, [other, source], 2, render).body.startswith(b"page 4")
    packed = pages.get("slot", "gzip", [other], 2, render)
    assert (packed.encoding, packed.etag.endswith('-gzip"')) == ("gzip", True)


def test_what_gains_nothing_by_it_is_not_compressed() -> None:
    page = RenderedPages().get("slot", "zstd", [], None, lambda: b"small")
    assert (page.body, page.encoding) == (b"small", None)


def test_it_holds_no_more_than_it_may() -> None:
    pages = RenderedPages()
    for number in range(100):
        pages.get(number, None, [], None, lambda: bytes(1024 * 1024))
    assert len(pages._pages) <= 64
    assert pages.get("huge", None, [], None, lambda: bytes(65 * 1024 * 1024)).body
