"""The demo's packages, built in memory."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PUBLIC_PROJECT = "sunny-greeting"


@dataclass(frozen=True, slots=True)
class _Project:
    """`yanked` maps versions to reasons; with `static`, the project's page is stored beside its files."""

    name: str
    summary: str
    versions: tuple[str, ...]
    requires: tuple[str, ...] = ()
    yanked: Mapping[str, str] | None = None
    static: bool = False

    @property
    def readme(self) -> str:
        module = self.name.replace("-", "_")
        return (
            f"# {self.name}\n\n{self.summary}. It is a sample of the demo.\n\n"
            f"```python\nimport {module}\n\nprint({module}.version)\n```\n\n"
            f"| release | what is new |\n|---|---|\n"
            + "".join(f"| {version} | nothing but its number |\n" for version in reversed(self.versions))
        )

    def wheels(self) -> dict[str, bytes]:
        module = self.name.replace("-", "_")
        made = [wheel(module, v, self.requires, summary=self.summary, readme=self.readme) for v in self.versions]
        return dict(made)


_OURS = (
    _Project("hello-gateway", "Says hello", ("1.0.0", "1.1.0", "2.0.0"), ("acme-colors>=1", PUBLIC_PROJECT)),
    _Project(
        "acme-billing",
        "Invoices and reminders",
        ("2.0.0", "2.1.0", "2.1.1", "3.0.0rc1"),
        yanked={"2.1.0": "rounds totals twice"},
    ),
    _Project("acme-colors", "The colours of the company", ("0.9.0", "1.0.0", "1.1.0")),
    _Project("acme-legacy", "A project with a page of its own", ("0.1.0", "0.2.0"), static=True),
)
_THEIRS = _Project(PUBLIC_PROJECT, "A greeting from another index", ("1.0.0", "1.1.0"))


def bucket_objects() -> dict[str, bytes]:
    """Objects by key: four projects with releases and READMEs, one release yanked, one page stored."""
    objects: dict[str, bytes] = {}
    for project in _OURS:
        wheels = project.wheels()
        objects |= {f"{project.name}/{file}": content for file, content in wheels.items()}
        for version, reason in (project.yanked or {}).items():
            [file] = [file for file in wheels if f"-{version}-" in file]
            objects[f"{project.name}/{file}.yanked"] = reason.encode()
        if project.static:
            objects[f"{project.name}/index.html"] = index_page(wheels)
    return objects


def public_files() -> dict[str, bytes]:
    """The files of the one project that the other index has."""
    return _THEIRS.wheels()


def wheel(
    name: str, version: str, requires: Sequence[str] = (), *, summary: str = "", readme: str = ""
) -> tuple[str, bytes]:
    """File name and bytes of a pure wheel (binary distribution format 1.0) whose one module says its version. The
    README is Markdown."""
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Summary: {summary}"] if summary else []
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    body = f"Description-Content-Type: text/markdown\n\n{readme}" if readme else ""
    files = {
        f"{name}.py": f'version = "{version}"\n',
        f"{info}/METADATA": "\n".join(metadata) + "\n" + body,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: gateway\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"{name}-{version}-py3-none-any.whl", buffer.getvalue()


def index_page(files: Mapping[str, bytes]) -> bytes:
    """A project's page (PEP 503) with hashes."""
    links = "".join(
        f'<a href="{name}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a><br>\n'
        for name, content in files.items()
    )
    return f"<!DOCTYPE html>\n<html><body>\n{links}</body></html>\n".encode()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
