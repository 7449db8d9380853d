"""The storage protocol, its decorators, and the backends."""
