"""Settings that are no mistakes, but hardly do what they look like. Pure."""

from collections.abc import Sequence

from gateway.config.access.settings import AccessSettings
from gateway.config.publish.settings import PublishSettings
from gateway.config.publish.trusted_publishers import GITHUB, GITLAB, OtherPublisher
from gateway.config.settings import Settings
from gateway.principal import Right
from gateway.rights.subjects import Subject

# Claims that stay the same when somebody else takes a name.
_IDS = frozenset({"repository_owner_id", "repository_id", "namespace_id", "project_id"})


def path_hints(settings: Settings, access: AccessSettings) -> list[str]:
    """What to say about rules for paths that begin with a prefix that is removed before rules are asked: they hold only
    where a request has it twice. `settings` are those of a mount; `access` may be newer."""
    mount, base_path = settings.mount, settings.server.base_path
    prefixes = [(settings.base_path_name, base_path), ("rewrite.strip_prefix", settings.rewrite.strip_prefix)]
    if mount.path not in ("", base_path):  # whoever writes a rule may not think of server.base_path
        prefixes.append((settings.base_path_name, mount.path))
    own = _owner(settings)
    return [
        f"{own}{rule.name} names the path {path}, which begins with {name}: it does not hold for {path} as clients ask "
        f"for it. Rules name paths without {name}"
        for rule in access.policy.rules
        for path in rule.paths
        for name, prefix in prefixes
        if prefix and path.startswith(f"{prefix}/")
    ]


def rule_hints(settings: Settings, access: AccessSettings) -> list[str]:
    """What to say about rules that grant a right to some of those who have it already: whoever wrote such a rule may
    think that others lose it."""
    own, policy = _owner(settings), access.policy
    return [
        f"{own}{rule.name} grants {right.value} to {', '.join(map(str, named))}, who have that right already by "
        f"access.default_{right.value}: so have all others who are named there, unless the rule says only: true"
        for rule in policy.rules
        for right in (Right.READ, Right.WRITE)
        if not rule.only and (named := rule.grants.get(right)) and _are_among(named, defaults := policy.defaults[right])
        if not _are_among(defaults, named)
    ]


def _owner(settings: Settings) -> str:
    """What stands before the names of a mount's own rules."""
    return "" if settings.shares_access else f"mounts.{settings.mount.name}."


def _are_among(some: Sequence[Subject], others: Sequence[Subject]) -> bool:
    """Whether all of `some` are among `others`, as far as their names tell."""
    kinds = {other.kind for other in others}
    known = "everyone" in kinds
    return all(known or one in others or ("authenticated" in kinds and one.kind != "everyone") for one in some)


def place_hints(settings: Settings) -> list[str]:
    """What to say about mounts with an access control of their own whose objects another mount serves as well, by its
    rules."""
    real = [mount for mount in settings.all_mounts if not mount.mount.members]
    return [
        f"mount {outer.mount.name} serves what mount {inner.mount.name} has, too, by its own rules and not by those of "
        f"mount {inner.mount.name}: give it a prefix or a directory beside the other's, or a rule for that path"
        for outer in real
        for inner in real
        if not (outer.shares_access and inner.shares_access) and _is_inside(_place(inner), _place(outer))
    ]


def _is_inside(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _place(settings: Settings) -> tuple[str, ...]:
    """Where the objects of a mount are, from the whole to the part."""
    storage, add = settings.storage, settings.rewrite.add_prefix
    backend = storage.resolved_backend
    whole = storage.dir.absolute().parts if backend == "file" else (storage.endpoint_url or "", storage.bucket or "")
    return (backend, *whole, *(part for part in f"{storage.prefix}{add}".split("/") if part))


def policy_hints(settings: Settings) -> list[str]:
    """What to say about a policy that has nothing to decide at a mount."""
    given = settings.mount.path or settings.mount.host or not settings.mounts  # of the top level, mounts inherit it
    if not given or not settings.policy.decides or settings.policy.untrusted or settings.fallback.mode != "none":
        return []
    return ["policy decides nothing here: it is for the files of another index, and fallback.mode is none"]


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
