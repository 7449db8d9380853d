"""The package index: pages of projects and their files, made from what the storage has."""
