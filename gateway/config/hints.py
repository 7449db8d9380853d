"""Settings that are no mistakes, but hardly do what they look like. Pure."""

from gateway.config.access.settings import AccessSettings
from gateway.config.publish.settings import PublishSettings
from gateway.config.publish.trusted_publishers import GITHUB, GITLAB, OtherPublisher
from gateway.config.settings import Settings

# Claims that stay the same when somebody else takes a name.
_IDS = frozenset({"repository_owner_id", "repository_id", "namespace_id", "project_id"})


def path_hints(settings: Settings, access: AccessSettings) -> list[str]:
    """What to say about rules for paths that begin with a prefix that is removed before rules are asked: they hold only
    where a request has it twice. `settings` are those of a mount; `access` may be newer."""
    mount, base_path = settings.mount, settings.server.base_path
    prefixes = [(settings.base_path_name, base_path), ("rewrite.strip_prefix", settings.rewrite.strip_prefix)]
    if mount.path not in ("", base_path):  # whoever writes a rule may not think of server.base_path
        prefixes.append((settings.base_path_name, mount.path))
    own = "" if settings.shares_access else f"mounts.{mount.name}."
    return [
        f"{own}{rule.name} names the path {path}, which begins with {name}: it does not hold for {path} as clients ask "
        f"for it. Rules name paths without {name}"
        for rule in access.policy.rules
        for path in rule.paths
        for name, prefix in prefixes
        if prefix and path.startswith(f"{prefix}/")
    ]


def owner_hints(publish: PublishSettings) -> list[str]:
    """What to say about trusted publishers that are known by a name alone, where everybody may take one that is free.
    PyPI takes none without the owner's id."""
    return [
        f"publish.trusted number {number} ({each.repository}) has no owner_id: whoever takes the name, if its owner "
        "gives it up, may publish"
        for number, each in enumerate(publish.trusted, 1)
        if not isinstance(each, OtherPublisher)
        if each.issuer in (GITHUB, GITLAB) and each.owner_id is None and not _IDS & each.claims.keys()
    ]
