"""`gateway token`: tokens of the gateway's own are made, read and revoked."""
