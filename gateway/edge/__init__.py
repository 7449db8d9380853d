"""The HTTP edge: what comes in, canonical; what goes out, allow-listed."""
