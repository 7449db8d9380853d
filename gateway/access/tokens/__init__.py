"""Tokens of the gateway: signed claims, their keys, and the list of those that are revoked."""
