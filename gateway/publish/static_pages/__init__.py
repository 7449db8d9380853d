"""The pages of projects that are stored in the bucket, kept up to date."""
