"""Caches of objects in memory and on disk, and the fills that feed them."""
