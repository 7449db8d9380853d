"""Makes a configuration of the gateway out of pypicloud's files, one that the gateway loads."""

from typing import Any

from gateway.access.hashing.passwords import parse
from gateway.cli.pypicloud.directories import KEEP_RIGHTS, backend_of, directory
from gateway.cli.pypicloud.document import Commented, Document, yaml_text
from gateway.cli.pypicloud.ignored import report_ignored
from gateway.cli.pypicloud.report import Report
from gateway.cli.pypicloud.rules import Defaults, Rules, group_subjects
from gateway.cli.pypicloud.source import PasteSettings, Source, SourceError, group_subject, usable
from gateway.cli.pypicloud.storage import fallback, fallback_mode, storage
from gateway.config.load import load_text
from gateway.errors import ConfigError, Problem
from gateway.rights.subjects import Subject

# No password has this hash: it takes the place of one that the gateway can't verify.
LOCKED = f"$2b$04${'.' * 53}"
_NOT_OF_PYPICLOUD = ("apr1", "SHA")
_REDIRECTS = "redirect_urls"
# Settings of the storage without which nothing comes from another place, or is stored in another way.
_DISPENSABLE = frozenset(
    {
        _REDIRECTS,
        "public_url",
        "expire_after",
        "buffer_time",
        "connect_timeout",
        "read_timeout",
        "max_attempts",
        "max_pool_connections",
        "user_agent_extra",
    }
)
_MAX_LEFT_OUT = 100


def convert(source: Source, report: Report) -> Document:
    """The sections of the configuration. Raises SourceError if nobody could log in with it."""
    for about, why in source.complaints:
        report.add(about, why)
    backend = "config" if source.is_export else backend_of(source.settings)
    read = _counting(source, backend)
    defaults = _closed(backend, source.settings, report) if backend in KEEP_RIGHTS else _defaults(read, report)
    access: dict[str, Any] = {}
    if backend == "config":
        access["users"] = _users(read, report)
    else:
        access |= directory(backend, source.settings, report)
    access |= Rules(read, defaults, report).settings()
    document: dict[str, dict[str, Any]] = {"access": access}
    if source.is_export:
        told = "the file has no defaults, so those of pypicloud are taken: compare them with the .ini file"
        report.add("pypi.default_read", told)
        told = "ppc-export may leave out what everyone and authenticated were granted, and packages with a dot in their"
        report.add("packages", f"{told} name. Without a rule, the defaults hold for them")
    else:
        has_admins = bool(read.admins) or backend != "config"
        if realm := source.settings.get("pypi.realm"):
            access["realm"] = realm
        document |= storage(source.settings, report)
        document["fallback"] = fallback(source.settings, report, has_admins=has_admins)
        report.add("environment", "settings that pypicloud gets from variables PPC_… are not in the file, and not here")
        report_ignored(source.settings.unused(), report)
    return _loadable(document, report)


def _counting(source: Source, backend: str) -> Source:
    """What the backend reads of the file."""
    settings = source.settings
    if backend == "config":
        settings.words("auth.admins")
        return source
    if backend == "ldap" and (settings.get("auth.ldap.fallback") or "").strip() == "config":
        return Source(source.name, settings, groups=source.groups, packages=source.packages)
    settings.forget(("user.", "group.", "package.", "auth.admins"))
    return Source(source.name, settings)


def _defaults(source: Source, report: Report) -> Defaults:
    settings = source.settings
    reading = settings.groups("pypi.default_read", ["authenticated"])
    writing = settings.groups("pypi.default_write")
    fetching = [Subject("everyone")]
    updating = settings.groups("pypi.cache_update", ["authenticated"])
    if not source.is_export and fallback_mode(settings) == "cache":
        fetching = _members_of(updating, "pypi.cache_update", source, report)
    return Defaults(
        _granted(reading, "pypi.default_read", report),
        _granted(writing, "pypi.default_write", report),
        fetching,
        _deleting(source, report),
    )


def _deleting(source: Source, report: Report) -> list[Subject]:
    settings = source.settings
    groups = settings.groups("pypi.allow_delete_groups", ["authenticated"])
    if not settings.flag("pypi.allow_delete", default=True):
        groups = []
    return _members_of(groups, "pypi.allow_delete_groups", source, report)


def _granted(groups: list[str], about: str, report: Report) -> list[Subject]:
    return group_subjects({group: group_subject(group) for group in groups}, about, report)


def _members_of(groups: list[str], about: str, source: Source, report: Report) -> list[Subject]:
    """pypicloud asks here for a group by its plain name, and knows `admin` as one."""
    found: dict[str, Subject] = {}
    for group in groups:
        subject = group_subject(group) if not group.startswith("group:") else Subject("group", group)
        if group != "admin" or "admin" in source.groups:
            found[group] = subject
    subjects = group_subjects(found, about, report)
    if not {Subject("everyone"), Subject("authenticated")} & set(subjects) and "admin" not in groups:
        report.add(about, "admins may do this here as well: they may do everything")
    return subjects


def _closed(backend: str, settings: PasteSettings, report: Report) -> Defaults:
    """Nobody but admins has a right, because it is unknown which packages have rules."""
    settings.forget(("pypi.default_read", "pypi.default_write", "pypi.cache_update", "pypi.allow_delete"))
    told = (
        f"{backend}: rights on packages are in {KEEP_RIGHTS[backend]}, which was not asked. Only admins may read until "
        "you give access.rules and access.default_read"
    )
    report.add("pypi.auth", told)
    return Defaults([], [], [Subject("everyone")], [])


def _users(source: Source, report: Report) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, stored in source.users.items():
        if not usable(name):
            report.add("users", f"{name!r} is left out: nobody can be called so here")
            continue
        try:
            known = parse(stored)
        except ValueError as error:
            why = f"the hash of {name!r} {error}" if stored else f"{name!r} has no hash"
            report.add("users", f"{why}. Until you put in another, nobody can log in as {name!r}")
            found[name] = Commented(LOCKED, "no password has this hash: gateway access hash makes one")
            continue
        if known.scheme in _NOT_OF_PYPICLOUD:
            told = f"{name!r} can log in here: pypicloud does not know hashes of the kind {known.scheme}"
            report.add("users", told)
        found[name] = stored
    return found


def _loadable(document: dict[str, dict[str, Any]], report: Report) -> Document:
    """Leaves out what the gateway refuses, if nobody gets more rights or other files by that. Raises SourceError for
    the rest."""
    for _ in range(_MAX_LEFT_OUT):
        try:
            load_text(yaml_text(document, "tried"), "configuration")
        except ConfigError as error:
            _leave_out(document, error.problems[0], report)
        else:
            return document
    raise SourceError("has too many settings that the gateway refuses")


def _leave_out(document: dict[str, dict[str, Any]], problem: Problem, report: Report) -> None:
    section, _, name = problem.key.partition(".")
    if section not in document or (section == "access" and name != "realm"):
        detail = "nobody could log in: it has no users, and everyone may read nothing" if name == "default_read" else ""
        raise SourceError(detail or f"{problem.key} {problem.message}")
    if problem.key == "storage.cloud_front_key_id" and document[section].get(_REDIRECTS):
        name = _REDIRECTS  # without what signs URLs, files are streamed
    # Without the endpoint_url, the bucket could be somebody else's, and without the base_url, the other index.
    if name in document[section] and (section == "access" or name in _DISPENSABLE):
        del document[section][name]
        report.add(f"{section}.{name}", f"is left out: {problem.key} {problem.message}")
    else:
        del document[section]
        report.add(section, f"is left out as a whole, and is to be set up anew: {problem.key} {problem.message}")
