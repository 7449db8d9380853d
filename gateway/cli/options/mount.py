"""The settings of the mount that a command is for."""

from gateway.config.settings import Settings
from gateway.errors import ConfigError, GatewayError, Problem
from gateway.http.routing import RoutingTable
from gateway.http.target import parse_target

OPTION = "--mount"


def named(settings: Settings, name: str | None) -> Settings:
    """Without a name, the top level if that is a mount. It may be a virtual index. Raises ConfigError."""
    if name is None and settings.has_default:
        return settings
    if name is None:
        raise _refused("which of them is meant? The top level is none: it names no bucket and no directory", settings)
    if (found := settings.named(name)) is None:
        raise _refused(f"there is no mount {name!r}", settings)
    return found


def chosen(settings: Settings, name: str | None) -> Settings:
    """The same, for what needs a storage. Raises ConfigError for a virtual index too."""
    return with_storage(named(settings, name))


def with_storage(mount: Settings, option: str = OPTION) -> Settings:
    """The mount. Raises ConfigError, which names `option`, if it is a virtual index."""
    if members := mount.mount.members:
        message = f"{mount.mount.name} is a virtual index and has no storage: name one of its members"
        raise ConfigError([Problem(option, "command line", f"{message}: {', '.join(members)}")])
    return mount


def led_to(settings: Settings, name: str | None, path: str) -> Settings:
    """Without a name, the mount that a path leads to, whatever the host. Raises ConfigError."""
    if name is None and settings.mounts:
        anywhere = (mount for mount in settings.all_mounts if not mount.mount.host)
        table = RoutingTable(("", mount.server.base_path, mount) for mount in anywhere)
        try:
            found = table.find("", parse_target(path if path.startswith("/") else f"/{path}")[0])
        except GatewayError:
            found = None  # it leads nowhere, whichever mount is asked
        if found is not None:
            return found
    return named(settings, name)


def members_of(settings: Settings, virtual: Settings) -> list[Settings]:
    """Those of a virtual index."""
    return [member for name in virtual.mount.members if (member := settings.named(name)) is not None]


def with_access_of(settings: Settings, mount: Settings) -> Settings:
    """The mount that has the access control of `mount`: the first of those that share it. It keeps the list of revoked
    tokens."""
    if not mount.shares_access:
        return mount
    return next(one for one in settings.all_mounts if one.shares_access and not one.mount.members)


def _refused(why: str, settings: Settings) -> ConfigError:
    names = ", ".join(mount.mount.name for mount in settings.all_mounts)
    return ConfigError([Problem(OPTION, "command line", f"{why}. Mounts: {names}")])
