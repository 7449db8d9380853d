"""Whether a storage heeds conditional writes, on which publishing relies."""
