"""The fields of a request that changes a release, or asks what a change would do. Pure."""

from collections.abc import Mapping, Set

from gateway.errors import BadRequestError
from gateway.index.simple.names import normalize
from gateway.index.status.document import ACTIVE, STATUSES, ProjectStatus, in_a_line
from gateway.publish.life_cycle.change import Action, Change
from gateway.publish.release_file import version_of

ACTION, VERSION, FILE, REASON, FORGET, TOKEN = "action", "version", "file", "reason", "forget", "form"
# The action that is for a project, and the field with what it is to be.
STATUS = "status"
_KNOWN = frozenset({ACTION, VERSION, FILE, REASON, FORGET, TOKEN})
_KNOWN_OF_STATUS = frozenset({ACTION, STATUS, REASON, TOKEN})
_YES = frozenset({"on", "yes", "true", "1"})
_MAX_SHOWN = 100


def change_of(project: str, fields: Mapping[str, str]) -> Change:
    """Raises BadRequestError for fields that are unknown, or have no value that they can have: a field that is misspelt
    must not make a change one of more files."""
    _demand_known(fields, _KNOWN)
    try:
        action = Action(fields.get(ACTION, ""))
    except ValueError:
        raise _refused(f"the field {ACTION} is {', '.join(action.value for action in Action)}, {STATUS}") from None
    version = version_of(fields.get(VERSION, ""))
    if version is None:
        raise _refused(f"the field {VERSION} is a version (PEP 440)")
    if fields.get(FILE) == "":  # as of a script whose variable is empty, which would be for all files
        raise _refused(f"the field {FILE} is the name of a file; leave it out for all of the version")
    forget = fields.get(FORGET, "")
    if forget and (forget.lower() not in _YES or action is not Action.DELETE):
        raise _refused(f"the field {FORGET} is yes, where something is deleted")
    return Change(action, normalize(project), version, fields.get(FILE), fields.get(REASON, ""), bool(forget))


def status_of(fields: Mapping[str, str]) -> ProjectStatus | None:
    """The status that a project is to have; None if the fields don't say. Raises BadRequestError as `change_of`."""
    _demand_known(fields, _KNOWN_OF_STATUS)
    said = fields.get(STATUS, "")
    if said and said not in STATUSES:
        raise _refused(f"the field {STATUS} is {', '.join(STATUSES)}")
    return ProjectStatus(said, in_a_line(fields.get(REASON, "")) if said != ACTIVE else "") if said else None


def _demand_known(fields: Mapping[str, str], known: Set[str]) -> None:
    for name in fields.keys() - known:
        raise _refused(f"there is no field {name[:_MAX_SHOWN]!r}; there are {', '.join(sorted(known))}")


def _refused(why: str) -> BadRequestError:
    return BadRequestError(why, public=f"Invalid change: {why}")
