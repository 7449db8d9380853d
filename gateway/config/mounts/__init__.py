"""The settings of mounts."""
