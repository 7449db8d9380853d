"""`gateway policy`: exceptions, and what the policy says of releases and of lock files."""
