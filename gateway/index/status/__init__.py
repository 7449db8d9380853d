"""The status of projects (PEP 792): what is said of them, and which of them offer no files."""
