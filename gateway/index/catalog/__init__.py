"""Which projects exist and which files they have, from listings of the storage."""
