"""Signatures and the credentials they are made with."""
