"""How the bytes of an object come: resumed, in parallel ranges, broadcast to several readers."""
