"""A signing reverse proxy in front of an S3 bucket."""
