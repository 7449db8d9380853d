"""The settings: their types, checks, and sources."""
