"""What all sections of the settings have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of the settings. Unknown keys are errors; values don't change; secrets don't show. A validator is
    built when it is used first: that of `access` takes as long as all others together."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)
