"""The field of an upload's form that has its attestations: a list in JSON. Pure."""

from collections.abc import Mapping, Sequence

from gateway.publish.rules import invalid_upload

FIELD = "attestations"
# In the answer to an upload whose attestations nobody has read.
IGNORED = "Its attestations were ignored (publish.attestations)"
# Those of one file have some twenty kilobytes.
MAX_FIELD_BYTES = 256 * 1024


def has_attestations(fields: Mapping[str, Sequence[str]]) -> bool:
    return any(value.strip() not in ("", "[]") for value in fields.get(FIELD, ()))


def attestations_in(fields: Mapping[str, Sequence[str]]) -> str:
    """What the field has, not read yet; empty if there are none. Raises BadRequestError."""
    if not has_attestations(fields):
        return ""
    values = fields[FIELD]
    if len(values) > 1:
        raise invalid_upload("the form has the field attestations more than once")
    if len(values[0].encode()) > MAX_FIELD_BYTES:
        raise invalid_upload(f"the attestations are larger than {MAX_FIELD_BYTES} bytes")
    return values[0]
