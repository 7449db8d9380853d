"""Options that many commands have: what sets settings, and which mount is meant."""
