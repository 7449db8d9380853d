"""Checks that mounts go together."""

from collections.abc import Iterator

from gateway.config.settings import Settings

# What the gateway itself serves, at the root or below a mount.
_OWN_PATHS = ("/health", "/ready", "/metrics", "/-")
_SAME_AUDIENCE = (
    "needs an audience of its own: {} has the same one and trusts other jobs, whose tokens would be good at both"
)


def beside_each_other(settings: Settings) -> Iterator[tuple[int, str, str]]:
    """What is wrong with a mount beside the others: its number, the setting to name, and a message."""
    seen = {("", ""): "the top level"} if settings.has_default else {}
    names = {settings.mount.name}
    for number, other in enumerate(settings.mounts):
        mount = other.mount
        if mount.name in names and "name" in mount.model_fields_set:
            yield number, "name", "is the name of another mount, or of the top level"
        names.add(mount.name)
        if (taken := seen.get((mount.host, mount.path))) is not None:
            yield number, "path", f"leads to {taken} already: give another path, or a host"
        seen.setdefault((mount.host, mount.path), mount.name)
        paths = [*_OWN_PATHS, *(settings.ops.path_prefix + path for path in _OWN_PATHS)]
        if any(f"{path}/".startswith(f"{own}/") for path in (mount.path, other.server.base_path) for own in paths):
            yield number, "path", "is a path of the gateway's own: choose another"
        for name, message in (*_members(settings, other), *_audience(settings, other)):
            yield number, name, message


def _members(settings: Settings, virtual: Settings) -> Iterator[tuple[str, str]]:
    mount = virtual.mount
    for name in mount.members:
        member = settings.named(name)
        if member is None:
            yield "members", f"names {name}, which is no mount"
        elif member.mount.members:
            yield "members", f"names {name}, which has members itself: name those"
        elif member.index.mode not in ("auto", "generated"):
            yield "members", f"names {name}, which lists no projects: its index.mode is {member.index.mode}"
    if len({*mount.members}) < len(mount.members):
        yield "members", "names a mount twice"
    if mount.publish_to is None:
        return
    target = settings.named(mount.publish_to)
    if mount.publish_to not in mount.members:
        yield "publish_to", "must be one of members"
    elif target is not None and not target.publish.enabled:
        yield "publish_to", f"names {mount.publish_to}, which takes no files: it needs publish.enabled"


def _audience(settings: Settings, later: Settings) -> Iterator[tuple[str, str]]:
    """A token that a job gets grants what it does at every mount with its audience and its key."""
    for other in settings.all_mounts:
        if other is later:
            return
        one, two = other.publish, later.publish
        jobs = one.enabled and two.enabled and one.trusted != two.trusted and not other.mount.members
        if jobs and one.audience == two.audience is not None and not _keys(other).isdisjoint(_keys(later)):
            yield "publish", _SAME_AUDIENCE.format(other.mount.name)


def _keys(settings: Settings) -> frozenset[str]:
    keys = settings.access.tokens.keys if settings.access is not None else []
    return frozenset(key.get_secret_value() for key in keys)
