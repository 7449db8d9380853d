"""The process that renders READMEs, and may be slow, run out of memory, or crash. Frames in, frames out, until EOF.

A frame is a length (4 bytes, big-endian) and as many bytes. A request is a README as JSON: kind, variant, text, and
whether https images of other hosts may stay. An answer is safe HTML, or empty if the README can't be rendered.
"""

import json
import resource
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from gateway.index.browse.images import without_remote_images

LENGTH = struct.Struct(">L")
MAX_HTML_BYTES = 1024 * 1024
CPU_SECONDS = 2
_MEMORY_BYTES = 80 * 1024 * 1024
_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_DATA: _MEMORY_BYTES,  # the imported modules take some 20 MB of it
    resource.RLIMIT_AS: 8 * _MEMORY_BYTES,
}


def main() -> None:
    for limit, value in _LIMITS.items():
        with suppress(ValueError, OSError):  # the system has a lower limit, or none of this kind
            resource.setrlimit(limit, (value, value))
    with suppress(OSError):  # if memory is short, the kernel ends this process first
        Path("/proc/self/oom_score_adj").write_text("1000")
    serve(sys.stdin.buffer, sys.stdout.buffer)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests. Any exception ends the process, and another one takes its place."""
    while len(head := requests.read(LENGTH.size)) == LENGTH.size:
        kind, variant, text, remote_images = json.loads(requests.read(*LENGTH.unpack(head)))
        _allow_cpu(CPU_SECONDS)
        rendered = without_remote_images(render(kind, variant, text) or "", allow_https=remote_images)
        html = rendered.encode()
        if len(html) > MAX_HTML_BYTES:
            html = b""
        answers.write(LENGTH.pack(len(html)) + html)
        answers.flush()


def _allow_cpu(seconds: int) -> None:
    """Allows so much more CPU time than was used so far; the system kills the process if it needs more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + 1 + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (until if hard == resource.RLIM_INFINITY else min(until, hard), hard))


def render(kind: str, variant: str, text: str) -> str | None:
    """Safe HTML; None if the text can't be rendered. Each renderer is imported on its first use."""
    rendered: str | None = None
    if kind == "text/markdown":
        from readme_renderer import markdown

        rendered = markdown.render(text, variant=variant)
    elif kind == "text/x-rst":
        from readme_renderer import rst

        rendered = rst.render(text)
    return _without_classes(rendered) if rendered else None


def _without_classes(html: str) -> str | None:
    """Safe HTML without classes: with those of our pages, a README could look like our notices, or have a Copy button
    that puts any text into the clipboard."""
    from readme_renderer import clean

    kept = {tag: names - {"class"} for tag, names in clean.ALLOWED_ATTRIBUTES.items()}
    cleaned: str | None = clean.clean(html, attributes=kept)
    return cleaned


if __name__ == "__main__":
    main()
