"""PyPI's JSON API, which tells of a project or of one of its versions."""
