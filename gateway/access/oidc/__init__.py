"""OpenID Connect: issuers, their keys, and the tokens that they sign."""
