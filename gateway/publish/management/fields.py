"""The fields of a request that changes a release, or asks what a change would do. Pure."""

from collections.abc import Mapping

from gateway.errors import BadRequestError
from gateway.index.simple.names import normalize
from gateway.publish.life_cycle.change import Action, Change
from gateway.publish.release_file import version_of

ACTION, VERSION, FILE, REASON, FORGET, TOKEN = "action", "version", "file", "reason", "forget", "form"
_KNOWN = frozenset({ACTION, VERSION, FILE, REASON, FORGET, TOKEN})
_YES = frozenset({"on", "yes", "true", "1"})
_MAX_SHOWN = 100


def change_of(project: str, fields: Mapping[str, str]) -> Change:
    """Raises BadRequestError for fields that are unknown, or have no value that they can have: a field that is misspelt
    must not make a change one of more files."""
    for name in fields.keys() - _KNOWN:
        raise _refused(f"there is no field {name[:_MAX_SHOWN]!r}; there are {', '.join(sorted(_KNOWN))}")
    try:
        action = Action(fields.get(ACTION, ""))
    except ValueError:
        raise _refused(f"the field {ACTION} is {', '.join(action.value for action in Action)}") from None
    version = version_of(fields.get(VERSION, ""))
    if version is None:
        raise _refused(f"the field {VERSION} is a version (PEP 440)")
    forget = fields.get(FORGET, "")
    if forget and (forget.lower() not in _YES or action is not Action.DELETE):
        raise _refused(f"the field {FORGET} is yes, where something is deleted")
    return Change(action, normalize(project), version, fields.get(FILE) or None, fields.get(REASON, ""), bool(forget))


def _refused(why: str) -> BadRequestError:
    return BadRequestError(why, public=f"Invalid change: {why}")
