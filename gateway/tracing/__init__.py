"""Traces: where a request stands in one, what is recorded of it, and to where that is exported."""
