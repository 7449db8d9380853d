"""What a wheel's metadata tells people: summary, links, README. Pure."""

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
    """As its author wrote it. `kind` is a media type; `variant` is Markdown's."""

    kind: str = ""
    variant: str = ""
    text: str = ""

    def as_text(self) -> str:
        """HTML that shows it as it is, up to a length."""
        cut = "\n…" if len(self.text) > MAX_README_CHARS else ""
        return f"<pre>{escape(self.text[:MAX_README_CHARS])}{cut}</pre>" if self.text else ""


@dataclass(frozen=True, slots=True)
class About:
    """Of one release, by its `version`. `links` have a label and an HTTP URL; `readme` is safe HTML."""

    summary: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    readme: str = ""
    version: str = ""

    @property
    def weight(self) -> int:
        """Its bytes in memory, about."""
        pairs = self.facts + self.links
        texts = (self.summary, self.readme, self.version, *(text for pair in pairs for text in pair))
        return sum(map(getsizeof, (self, *pairs, *texts)))


def about(metadata: bytes) -> tuple[About, Readme]:
    """Takes core metadata however broken: what can't be read is left out. The README is yet to be rendered."""
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
    """Up to a length: a page that is too large to be remembered would be made for each who looks at it."""
    text = ", ".join(texts)
    return text if len(text) <= _MAX_LISTED else f"{text[:_MAX_LISTED]}…"


def _first(fields: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(fields.get(name, ())), "")


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False
