"""The SBOMs in wheels (PEP 770)."""
