"""What becomes of releases after they were published."""
