"""Metrics that are read from the parts when somebody asks."""
