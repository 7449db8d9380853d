"""`gateway import pypicloud`: pypicloud's settings and rights as settings of the gateway."""
