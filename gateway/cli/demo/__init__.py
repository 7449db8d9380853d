"""`gateway demo`: sample packages on an S3 server of its own, and a gateway in front."""
