"""The S3 backend."""
