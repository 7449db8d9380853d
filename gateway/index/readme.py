"""What a wheel's metadata tells people: summary, links, README; rendered so that nothing in it can do harm. Pure."""

from dataclasses import dataclass
from email.message import Message
from html import escape
from urllib.parse import urlsplit

from packaging.metadata import RawMetadata, parse_email

_MAX_README_BYTES = 256 * 1024  # larger ones cost too much to render
_FACTS = (("Requires", "requires_python"), ("License", "license_expression"), ("Author", "author"))


@dataclass(frozen=True, slots=True)
class About:
    """Of one release. `links` have a label and an HTTP URL; `readme` is safe HTML."""

    summary: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    readme: str = ""


def about(metadata: bytes) -> About:
    """Takes core metadata however broken: what can't be read is left out."""
    raw, _ = parse_email(metadata)
    found = [(term, str(raw.get(key, ""))) for term, key in _FACTS]
    if dependencies := raw.get("requires_dist"):
        found.append(("Depends on", ", ".join(text for text in dependencies if "extra ==" not in text)))
    urls = [*raw.get("project_urls", {}).items(), ("Homepage", raw.get("home_page", ""))]
    links = {label: url for label, url in reversed(urls) if _is_web(url)}
    return About(
        summary=raw.get("summary", ""),
        facts=tuple((term, value) for term, value in found if value),
        links=tuple(reversed(links.items())),
        readme=_readme(raw),
    )


def _readme(raw: RawMetadata) -> str:
    text = raw.get("description", "").strip()
    if not text:
        return ""
    header = Message()
    header["Content-Type"] = raw.get("description_content_type") or "text/x-rst"
    kind = header.get_content_type()
    rendered = _rendered(kind, text, header) if len(text) <= _MAX_README_BYTES else None
    return rendered if rendered is not None else f"<pre>{escape(text)}</pre>"


def _rendered(kind: str, text: str, header: Message) -> str | None:
    """None for what can't be rendered. Imported here, for it takes megabytes that most gateways never need."""
    if kind == "text/markdown":
        from readme_renderer import markdown

        return markdown.render(text, variant=str(header.get_param("variant") or "GFM"))
    if kind == "text/x-rst":
        from readme_renderer import rst

        return rst.render(text)
    return None


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False
