"""Which absent paths are those of an application that runs in the browser, and makes its pages itself. Pure."""

from multidict import MultiMapping

# What browsers and build tools fetch for a page. An application's own paths may have dots too, as in /users/a.smith.
_ASSETS = frozenset(
    {"avif", "bmp", "br", "css", "csv", "eot", "gif", "gz", "htm", "html", "ico", "jpeg", "jpg", "js", "json", "jsx"}
    | {"map", "md", "mjs", "mp3", "mp4", "ogg", "otf", "pdf", "php", "png", "svg", "tar", "ts", "tsx", "ttf", "txt"}
    | {"wasm", "wav", "webm", "webmanifest", "webp", "woff", "woff2", "xhtml", "xml", "xz", "yaml", "yml", "zip", "zst"}
)
# All of these are sent by browsers that send one of them (Fetch Metadata).
_FETCH_METADATA = ("Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site")
# By these headers one path has two answers.
VARY = "Accept, Sec-Fetch-Mode"


def is_its_page(key: str, headers: MultiMapping[str]) -> bool:
    """Whether somebody goes to a page of the application, rather than that a page or a script fetches something: its
    error would be hidden by an answer that is HTML."""
    _, dot, extension = key.rpartition("/")[2].rpartition(".")
    if dot and extension.lower() in _ASSETS:
        return False
    if any(name in headers for name in _FETCH_METADATA):
        return headers.get("Sec-Fetch-Mode") == "navigate"
    accepted = (part.partition(";")[0].strip().lower() for part in ",".join(headers.getall("Accept", ())).split(","))
    return "text/html" in accepted
