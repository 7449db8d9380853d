"""Knows which versions have advisories: OSV's database, from a server or a file."""
