"""Content types by extension: a table of ours, so that they are the same on every machine. Pure."""

# Without parameters: texts are UTF-8.
_TYPES = {
    ".7z": "application/x-7z-compressed",
    ".aac": "audio/aac",
    ".atom": "application/atom+xml",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".br": "application/x-brotli",
    ".bz2": "application/x-bzip2",
    ".cjs": "text/javascript",
    ".css": "text/css",
    ".csv": "text/csv",
    ".doc": "application/msword",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".egg": "application/zip",
    ".eot": "application/vnd.ms-fontobject",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon",
    ".ics": "text/calendar",
    ".jar": "application/java-archive",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".log": "text/plain",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".m4v": "video/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".mpeg": "video/mpeg",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".ppt": "application/vnd.ms-powerpoint",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".provenance": "application/vnd.pypi.integrity.v1+json",
    ".ps": "application/postscript",
    ".py": "text/x-python",
    ".rar": "application/vnd.rar",
    ".rss": "application/rss+xml",
    ".rst": "text/x-rst",
    ".rtf": "application/rtf",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".tgz": "application/gzip",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".toml": "application/toml",
    ".ts": "video/mp2t",
    ".tsv": "text/tab-separated-values",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "application/xml",
    ".xsl": "application/xslt+xml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}
# Files whose content is compressed already: nobody gains by compressing it again.
_COMPRESSED = frozenset(
    {".7z", ".aac", ".avif", ".br", ".bz2", ".docx", ".egg", ".epub", ".flac", ".gif", ".gz", ".jar", ".jpeg", ".jpg"}
    | {".jxl", ".m4a", ".m4v", ".mov", ".mp3", ".mp4", ".mpeg", ".odp", ".ods", ".odt", ".oga", ".ogg", ".ogv", ".opus"}
    | {".parquet", ".png", ".pptx", ".rar", ".svgz", ".tgz", ".webm", ".webp", ".whl", ".woff", ".woff2", ".xlsx"}
    | {".xz", ".zip", ".zst"}
)
# The extensions of files that are others in an encoding.
ENCODED_SUFFIXES = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
# The types of objects that were uploaded without one.
UNTYPED = frozenset({"", "binary/octet-stream", "application/octet-stream"})


def suffix_of(key: str) -> str:
    """The last extension of a name, in lower case and with its dot; empty if it has none, as `.profile`."""
    stem, dot, suffix = key.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def type_of(key: str) -> str | None:
    """The content type that the name says; None if it says none."""
    found = _TYPES.get(suffix_of(key))
    return with_charset(found) if found is not None else None


def with_charset(content_type: str) -> str:
    """A text without a charset is UTF-8."""
    plain = content_type.startswith("text/") and "charset" not in content_type.lower()
    return f"{content_type}; charset=utf-8" if plain else content_type


def is_compressed(key: str) -> bool:
    """Whether the name is that of a file whose content is compressed already."""
    return suffix_of(key) in _COMPRESSED
