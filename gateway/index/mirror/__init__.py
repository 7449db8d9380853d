"""Another index: its pages, and the files that are fetched from it."""
