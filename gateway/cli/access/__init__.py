"""`gateway access`: hashes for the configuration, and questions about rights."""
