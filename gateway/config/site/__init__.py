"""The section `site`."""
