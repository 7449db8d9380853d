"""Hashes passwords: the system's library, and who has to wait for it."""
