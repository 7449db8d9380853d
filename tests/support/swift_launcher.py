"""Runs one Swift server with the swift.conf beside its configuration. Usage: swift_launcher.py proxy-server FILE"""

import importlib
import sys
from pathlib import Path


def main(kind: str, configuration: Path) -> int:
    utils = importlib.import_module("swift.common.utils")
    vars(utils)["SWIFT_CONF_FILE"] = str(configuration.with_name("swift.conf"))
    options = {}
    if kind == "object-server":
        options["global_conf_callback"] = importlib.import_module("swift.obj.server").global_conf_callback
    return int(importlib.import_module("swift.common.wsgi").run_wsgi(str(configuration), kind, **options) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).resolve()))
