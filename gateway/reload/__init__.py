"""A new configuration in place of the running one, without a restart."""
