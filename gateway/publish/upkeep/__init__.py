"""Keeps the storage of published files in order: verifies it, and finds what nobody needs any more."""
