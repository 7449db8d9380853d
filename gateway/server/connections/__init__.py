"""One connection of a client: admission, limits, TLS, the cutting of requests, and files sent by the kernel."""
