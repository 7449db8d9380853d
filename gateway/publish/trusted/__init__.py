"""Trusted publishing: jobs of CI exchange a token of their issuer for one of the gateway's that publishes."""
