"""Reads what the parts of a gateway hold, for its metrics."""
