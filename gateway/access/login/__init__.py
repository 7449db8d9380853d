"""Browser login: cookies that the gateway signs, and the code flow of OpenID Connect."""
