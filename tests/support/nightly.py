"""Whether this is the long run, `make nightly`: the same tests, with many more cases."""

import os

NIGHTLY = "GATEWAY_NIGHTLY" in os.environ
