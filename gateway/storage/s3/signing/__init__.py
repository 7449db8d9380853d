"""Signatures, and the credentials that make them."""
