"""The client side: sockets, connections, requests and responses."""
