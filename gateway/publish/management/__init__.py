"""Releases are yanked and deleted over HTTP."""
