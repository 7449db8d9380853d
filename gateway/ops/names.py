"""Names that administrators give. Pure."""

import re

# https://packaging.python.org/en/latest/specifications/name-normalization/
PROJECT_NAME = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]{0,253}[A-Z0-9]", re.IGNORECASE)
