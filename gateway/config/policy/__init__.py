"""The section `policy`."""
