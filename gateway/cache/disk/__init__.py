"""The disk cache: entries, their verification, and the quota."""
