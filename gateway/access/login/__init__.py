"""How people log in: at a form, at an issuer of OpenID Connect, or at a proxy in front of the gateway."""
