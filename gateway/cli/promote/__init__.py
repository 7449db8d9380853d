"""`gateway promote`: copies a release from one index to another."""
