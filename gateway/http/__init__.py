"""The rules of HTTP that need no I/O: targets, headers, conditions, freshness."""
