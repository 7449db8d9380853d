"""Who says who a client is: one authenticator a file."""
