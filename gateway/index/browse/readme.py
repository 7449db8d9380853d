"""What people read of a wheel's metadata: summary, links, README. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from sys import getsizeof
from urllib.parse import urlsplit

from gateway.index.wheels.core_metadata import parse

MAX_README_CHARS = 128 * 1024
_MAX_LINKS = 32
_MAX_LISTED = 8192
REQUIRES_PYTHON = "Requires Python"
_FACTS = ((REQUIRES_PYTHON, "requires-python"), ("License", "license-expression"), ("Author", "author"))
_CONTENT_TYPE = re.compile(r"\s*([a-z]+/[a-z-]+)\s*(?:;|$)", re.IGNORECASE)
_VARIANT = re.compile(r";\s*variant\s*=\s*\"?([A-Za-z]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Readme:
    """A README as its author wrote it. `kind` is its media type, `variant` the variant of Markdown."""

    kind: str = ""
    variant: str = ""
    text: str = ""

    def as_text(self) -> str:
        """HTML that shows the README as plain text, up to a length."""
        cut = "\n…" if len(self.text) > MAX_README_CHARS else ""
        return f"<pre>{escape(self.text[:MAX_README_CHARS])}{cut}</pre>" if self.text else ""


@dataclass(frozen=True, slots=True)
class About:
    """The description of one release, `version`. `links` have a label and an HTTP URL; `readme` is safe HTML."""

    summary: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    readme: str = ""
    version: str = ""

    @property
    def weight(self) -> int:
        """Approximate bytes in memory."""
        pairs = self.facts + self.links
        texts = (self.summary, self.readme, self.version, *(text for pair in pairs for text in pair))
        return sum(map(getsizeof, (self, *pairs, *texts)))


def about(metadata: bytes) -> tuple[About, Readme]:
    """Reads core metadata, and leaves out what is malformed. The README is not rendered yet."""
    fields = parse(metadata)
    found = [(term, _first(fields, name)) for term, name in _FACTS]
    found.append(("Depends on", _listed(text for text in fields.get("requires-dist", ()) if "extra ==" not in text)))
    urls = [url.partition(",")[::2] for url in fields.get("project-url", ())]
    urls.append(("Homepage", _first(fields, "home-page")))
    links = {label.strip(): url.strip() for label, url in reversed(urls) if _is_web(url.strip())}
    written = About(
        summary=_first(fields, "summary"),
        facts=tuple((term, value) for term, value in found if value),
        links=tuple(reversed(links.items()))[:_MAX_LINKS],
    )
    return written, _readme(_first(fields, "description").strip(), _first(fields, "description-content-type"))


def _readme(text: str, content_type: str) -> Readme:
    kind = _CONTENT_TYPE.match(content_type or "text/x-rst")
    variant = _VARIANT.search(content_type)
    return Readme(kind[1].lower() if kind else "", variant[1] if variant else "GFM", text) if text else Readme()


def _listed(texts: Iterable[str]) -> str:
    """The texts as a list, cut at a length: a page that is too large to be cached would be rendered each time."""
    text = ", ".join(texts)
    return text if len(text) <= _MAX_LISTED else f"{text[:_MAX_LISTED]}…"


def _first(fields: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(fields.get(name, ())), "")


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False
