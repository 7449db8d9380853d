"""Where the objects are: a directory, an S3 bucket."""
