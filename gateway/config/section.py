"""What all sections of the settings have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of the settings. Unknown keys are errors; values don't change; secrets don't show."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
