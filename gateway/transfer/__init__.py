"""Transfers of object bodies: resumed, in parallel ranges, or broadcast to several readers."""
