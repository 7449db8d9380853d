"""Serves a bucket or a directory as a web site: `index.mode: site`."""
