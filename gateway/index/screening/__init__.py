"""Keeps what the policy withholds from clients."""
