"""What the workers of a gateway know together, in memory that all of them share."""
