"""What a bucket can do besides reading and writing objects."""
