"""The mounts of a gateway: each an index and its storage, or several of them as one."""
