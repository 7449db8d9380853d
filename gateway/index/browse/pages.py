"""The pages for people: search, releases, README, and the commands that install."""

import base64
import hashlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.errors import GatewayError
from gateway.executors import FOREIGN
from gateway.index.browse.actions import NO_ACTIONS, Actions
from gateway.index.browse.readme import REQUIRES_PYTHON, About, about
from gateway.index.browse.renderer import Renderer, RenderError
from gateway.index.browse.view import headline, install_lines, releases_of
from gateway.index.simple.names import normalize, parse
from gateway.index.simple.pages import Project
from gateway.index.wheels.metadata import WheelMetadata
from gateway.index.wheels.wheel import WheelError
from gateway.single_flight import SingleFlight
from gateway.storage.base import StoredObject

if TYPE_CHECKING:
    from jinja2 import Environment

PER_PAGE = 200
_INLINE = {"script": "script.js", "style": "style.css"}

log = logging.getLogger("gateway.index")


@dataclass(frozen=True, slots=True)
class Filling:
    """How to fill an empty index: the commands, by tool; whether projects are folders; and the seconds until new files
    appear."""

    lines: Sequence[tuple[str, str]]
    by_folder: bool
    seconds: float


_UNKNOWN = Filling((), by_folder=True, seconds=0)


class ProjectPages:
    """Generates the pages, with marks in place of the commands that install.

    Content of a project reaches them only as text, except its README, as safe HTML.
    """

    def __init__(
        self,
        wheels: WheelMetadata,
        renderer: Renderer,
        root: str,
        elsewhere: str,
        memory: MemoryLimit,
        *,
        remote_images: bool = False,
        filling: Filling = _UNKNOWN,
    ) -> None:
        """`root` is the key above all projects; `elsewhere` is the URL of the fallback index. `remote_images`: browsers
        may fetch images of other hosts in READMEs. `filling` is for an empty index."""
        self._filling = filling
        self._image_sources = "'self' https: data:" if remote_images else "'self' data:"
        self._wheels = wheels
        self._root = root
        self._elsewhere = elsewhere
        self._abouts = LruCache[tuple[str, str], About](
            "READMEs", memory, lambda slot, about: weight_of(slot) + about.weight
        )
        self._reading = SingleFlight[About]()
        self._renderer = renderer
        # Random, so that no README can contain them.
        self._marks = [(tool, secrets.token_hex(16)) for tool, _ in install_lines("", "")]

    @cached_property
    def headers(self) -> dict[str, str]:
        """The headers of all pages. Only our own script may run, whatever a README contains."""
        script, style = (f"'sha256-{_sha256(_template(name))}'" for name in ("script.js", "style.css"))
        policy = (
            f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; form-action 'self'; "
            f"img-src {self._image_sources}; base-uri 'none'; frame-ancestors 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    def projects(self, names: Sequence[str], query: str, actions: Actions = NO_ACTIONS) -> bytes:
        """The root's page: those of `names`, which are sorted, that match `?q=`."""
        fields = parse_qs(query, errors="replace")
        wanted = fields.get("q", [""])[0].strip()
        part = normalize(wanted).strip("-")
        found = [name for name in names if part in name]
        # An exact match comes first, then names that start with the query.
        found.sort(key=lambda name: (name != part, not name.startswith(part)))
        pages = max(1, -(-len(found) // PER_PAGE))
        number = fields.get("page", ["1"])[0]
        page = min(max(int(number), 1), pages) if number.isascii() and number.isdigit() and len(number) < 9 else 1
        return self._render(
            "projects.html",
            up="",
            query=wanted,
            found=len(found),
            total=len(names),
            names=found[(page - 1) * PER_PAGE : page * PER_PAGE],
            page=page,
            pages=pages,
            elsewhere=self._elsewhere,
            lines=self._marks,
            actions=actions,
        )

    def empty(self, actions: Actions = NO_ACTIONS, *, blank: bool) -> bytes:
        """The root's page if there are no projects. `blank`: perhaps a volume is missing."""
        filling = self._filling
        return self._render(
            "empty.html",
            up="",
            blank=blank,
            elsewhere=self._elsewhere,
            fill=filling.lines,
            by_folder=filling.by_folder,
            seconds=ceil(filling.seconds) or 1,
            actions=actions,
        )

    async def about(self, project: str, wheel: StoredObject | None) -> About:
        """What the project's newest wheel says about the project; empty if there is none that can be read."""
        if wheel is None:
            return About()
        slot = wheel.key, wheel.etag
        if (remembered := self._abouts.get(slot)) is not None:
            return remembered
        try:
            return await self._reading.once(slot, lambda: self._read(wheel))
        except GatewayError as error:
            log.info("the page of %s has no README: %s", project, error)
        except WheelError as error:
            log.info("the page of %s has no README: %s", project, error)
            self._abouts.put(slot, About())
        return About()

    async def _read(self, item: StoredObject) -> About:
        metadata = await self._wheels.of(self._root + item.key, item.etag, item.size)
        found, readme = await FOREIGN.run(about, metadata)
        release = parse(item.key.rpartition("/")[2])
        found = replace(found, version=str(release.version) if release is not None else "")
        try:
            found = replace(found, readme=await self._renderer.html(readme))
        except RenderError as error:
            log.warning("the README of %r is shown as text: %s", item.key, error)
            return replace(found, readme=readme.as_text())
        self._abouts.put((item.key, item.etag), found)
        return found

    def project(self, project: Project, about: About, actions: Actions = NO_ACTIONS) -> bytes:
        """A project's page; URLs of files are relative to the root."""
        from markupsafe import Markup

        releases = releases_of(project)
        latest = headline(releases)
        facts = {REQUIRES_PYTHON: "", **dict(about.facts)}
        if latest is not None and latest.requires_python:
            facts[REQUIRES_PYTHON] = latest.requires_python
        return self._render(
            "project.html",
            up="../",
            name=project.name,
            latest=latest,
            about=about,
            facts=[(term, value) for term, value in facts.items() if value],
            files=sum(len(release.files) for release in releases),
            status=project.status if project.status != "active" else None,
            status_reason=project.status_reason,
            releases=releases,
            withheld=[(file, str(verdict)) for file, verdict in project.withheld.items()],
            warned=[(file, verdict.reason) for file, verdict in project.verdicts.items() if not verdict.withholds],
            readme=Markup(about.readme),  # noqa: S704  readme.py has made it safe
            lines=self._marks,
            actions=actions,
        )

    def with_lines(self, page: bytes, lines: Sequence[tuple[str, str]]) -> bytes:
        """The page as it is sent, with the commands that install in place of the marks."""
        for (_, mark), (_, line) in zip(self._marks, lines, strict=True):
            page = page.replace(mark.encode(), escape(line).encode())
        return page

    def _render(self, template: str, **values: Any) -> bytes:
        return self._environment.get_template(template).render(values).encode()

    @cached_property
    def _environment(self) -> "Environment":
        """Imports Jinja on first use, because many gateways never serve a browser."""
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup

        environment = Environment(
            loader=PackageLoader("gateway.index.browse"), autoescape=True, undefined=StrictUndefined, auto_reload=False
        )
        environment.globals |= {name: Markup(_template(file)) for name, file in _INLINE.items()}  # noqa: S704  ours
        return environment


def _template(name: str) -> str:
    return files("gateway.index.browse").joinpath("templates", name).read_text("utf-8")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
