"""The images of a README. Those of other hosts become links: fetching one would tell its host who reads the page."""

import re
from html import escape
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

_NAMELESS = "image"
_BLANKS = "".join(map(chr, range(0x21)))
_BREAKS = re.compile(r"[\t\r\n]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def without_remote_images(html: str, *, allow_https: bool = False) -> str:
    """Replaces each image of another host in `html`, which is safe and well-formed, by its alternative text: as a link
    to the image, unless it is in a link already. `allow_https` leaves images with https URLs."""
    links = _Links(allow_https=allow_https)
    links.feed(html)
    links.close()
    return "".join(links.parts)


class _Links(HTMLParser):
    """Passes everything on unchanged, except images."""

    def __init__(self, *, allow_https: bool) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._allow_https = allow_https
        self._in_link = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_link += tag == "a"
        text = self.get_starttag_text() or ""
        self.parts.append(self._image(text, dict(attrs)) if tag == "img" else text)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._in_link -= tag == "a"

    def handle_endtag(self, tag: str) -> None:
        self._in_link -= tag == "a" and self._in_link > 0
        self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        self.parts.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.parts.append(f"&#{name};")

    def _image(self, tag: str, attributes: dict[str, str | None]) -> str:
        # Read as browsers do (https://url.spec.whatwg.org/#url-parsing).
        source = _BREAKS.sub("", (attributes.get("src") or "").strip(_BLANKS)).replace("\\", "/")
        remote = source.startswith("//") or _SCHEME.match(source) is not None
        if (source and not remote) or (self._allow_https and source.lower().startswith("https:")):
            return tag
        try:
            url = urlsplit(source)
        except ValueError:
            url = urlsplit("")
        name = unquote(url.path).rpartition("/")[2]
        text = escape((attributes.get("alt") or "").strip() or name or _NAMELESS)
        if self._in_link or not url.netloc:
            return f'<span class="image">{text}</span>'
        return f'<a class="image" href="{escape(source)}" rel="noopener nofollow">{text}</a>'
