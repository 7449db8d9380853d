"""A signing reverse proxy in front of an S3 bucket."""

__version__ = "0.1.0"
