"""`gateway publish`: release files, to a gateway or straight into the storage."""
