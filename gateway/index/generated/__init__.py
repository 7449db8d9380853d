"""Pages that are made from listings."""
