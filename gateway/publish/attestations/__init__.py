"""Build attestations of uploads (PEP 740)."""
