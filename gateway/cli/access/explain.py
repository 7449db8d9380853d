"""`gateway access explain`: what somebody may do with a project or a path, and why."""

import sys
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from gateway.cli.access.question import People, parse_groups, parse_path, parse_project, parse_who, verdicts
from gateway.cli.options.mount import members_of
from gateway.config.settings import Settings
from gateway.http.target import strip_prefix
from gateway.index.keys import resources_of
from gateway.index.simple.names import normalize
from gateway.principal import Principal
from gateway.rights.policy import Listing, Policy, Resource
from gateway.rights.subjects import Subject

_WIDTH = 9


def explain_at(
    top: Settings, mount: Settings, who: str, what: str, groups: Sequence[str], write: Callable[[str], None]
) -> int:
    """As `explain`; says which mount it is about if there are several. That of a virtual index is about each of its
    members: which has the project, only their storages know."""
    if not mount.mount.members:
        if top.mounts:
            write(f"{'mount':{_WIDTH}} {mount.mount.name}")
        return explain(mount, who, what, groups, write)
    inner = strip_prefix(what, mount.server.base_path) if what.startswith("/") else ""
    if inner is None:
        return _refused(f"path {what!r} is outside {mount.base_path_name}, {mount.server.base_path}")
    for number, member in enumerate(members_of(top, mount)):
        if number:
            write("")
        write(f"{'mount':{_WIDTH}} {member.mount.name}, if it has the project first")
        if code := explain(member, who, member.server.base_path + inner if inner else what, groups, write):
            return code
    return 0


def explain(settings: Settings, who: str, what: str, groups: Sequence[str], write: Callable[[str], None]) -> int:
    """Returns 0, or 2 for a question that can't be understood."""
    try:
        subject = parse_who(who)
    except ValueError as error:
        return _refused(f"USER {who!r} {error}")
    try:
        resource = parse_path(settings, what) if what.startswith("/") else parse_project(settings, what)
    except ValueError as error:
        return _refused(f"{'path' if what.startswith('/') else 'project'} {what!r} {error}")
    if settings.access is None:
        write(f"{'read':{_WIDTH}} allowed  there is no section access: everybody may read everything")
        return 0
    people = People(settings.access)
    try:
        principal = people.principal(subject, parse_groups(groups))
    except ValueError as error:
        return _refused(f"--group: {error}")
    for line in (*_about(people, subject, principal), *_asked(what, resource)):
        write(line)
    write("")
    for right, decision in verdicts(people.policy, principal, resource):
        write(f"{right.value:{_WIDTH}} {'allowed' if decision.allowed else 'refused'}  {decision.why}")
    notes = [*_notes(settings, people, subject, resource)]
    if not what.startswith("/"):
        notes += _notes_on_paths(settings, people.policy, resource)
    for line in ["", *notes] if notes else []:
        write(line)
    return 0


def _about(people: People, subject: Subject, principal: Principal) -> Iterator[str]:
    """Who asks. Groups that neither a rule nor a default names change nothing."""
    kinds = {
        "everyone": "everyone: nobody has logged in",
        "authenticated": "authenticated: anybody who has logged in",
        "group": f"anybody in {str(subject)!r}",
        "token": f"{str(subject)!r}, apart from its user and its limits",
    }
    yield f"{'user':{_WIDTH}} {kinds.get(subject.kind, repr(subject.name))}"
    if not principal.name:
        return
    named = {True: "", False: " (in no rule)"}
    groups = (f"{group!r}{named[group in people.groups_of_rules]}" for group in sorted(principal.groups))
    yield f"{'groups':{_WIDTH}} {', '.join(groups) or 'none'}"
    yield f"{'admin':{_WIDTH}} {'yes, by access.admins' if principal.name in people.access.admins else 'no'}"


def _asked(what: str, resource: Resource) -> Iterator[str]:
    if what.startswith("/"):
        yield f"{'path':{_WIDTH}} {what!r}"
    if resource.listing is not Listing.NO:
        detail = ", of which each reader sees a part" if resource.listing is Listing.FILTERED else ""
        yield f"{'list':{_WIDTH}} all projects{detail}"
    given = "" if what.startswith("/") or what in resource.projects else f" (given as {what})"
    if resource.projects:
        yield f"{'project':{_WIDTH}} {', '.join(map(repr, resource.projects))}{given}"


def _notes(settings: Settings, people: People, subject: Subject, resource: Resource) -> Iterator[str]:
    """What the answer leaves open."""
    if not people.knows(subject):
        yield f"note: this configuration does not name the {subject.kind} {subject.name!r}"
    if subject.kind != "everyone" and (directories := people.directories):
        yield (
            f"note: {', '.join(directories)} may tell more groups, or that a user is an admin. Nobody was asked: give "
            "such groups with --group"
        )
    if subject.kind == "token":
        yield "note: a token also has the rights of its user, within its limits: see gateway token inspect"
    if settings.fallback.mode == "none":
        yield "note: fallback.mode is none, so no files are fetched from another index"
    patterns = [normalize(pattern) for pattern in settings.fallback.disallow]
    if hidden := [name for name in resource.projects if any(fnmatchcase(name, pattern) for pattern in patterns)]:
        yield f"note: fallback.disallow names {', '.join(map(repr, hidden))}, which is never looked up there"


def _notes_on_paths(settings: Settings, policy: Policy, resource: Resource) -> Iterator[str]:
    """The rules for paths that concern files of the project only where these are in another folder than its name: one
    that is spelled otherwise, or any at all in a flat bucket."""
    flat = not resources_of(settings).by_folder
    for rule in policy.rules:
        for path in rule.paths:
            asked = any(known.startswith(path) for known in resource.paths)
            if not asked and (flat or normalize(path.split("/")[1]) in resource.projects):
                yield f"note: {rule.name} decides too about files of the project that are in {path}: ask for that path"


def _refused(why: str) -> int:
    print(f"gateway access explain: {why}", file=sys.stderr)
    return 2
