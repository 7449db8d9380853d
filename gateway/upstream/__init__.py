"""The HTTP client that reaches the storage and other indexes."""
