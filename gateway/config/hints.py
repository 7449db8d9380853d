"""Settings that are no mistakes, but hardly do what they look like. Pure."""

from gateway.config.access.settings import AccessSettings
from gateway.config.settings import Settings


def path_hints(settings: Settings, access: AccessSettings) -> list[str]:
    """What to say about rules for paths that begin with a prefix that is removed before rules are asked: they hold only
    where a request has it twice. `access` may be newer than `settings`."""
    prefixes = {
        "server.base_path": settings.server.base_path,
        "rewrite.strip_prefix": settings.rewrite.strip_prefix,
    }
    return [
        f"{rule.name} names the path {path}, which begins with {name}: it does not hold for {path} as clients ask for "
        f"it. Rules name paths without {name}"
        for rule in access.policy.rules
        for path in rule.paths
        for name, prefix in prefixes.items()
        if prefix and path.startswith(f"{prefix}/")
    ]
