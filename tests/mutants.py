"""`make mutants`: breaks a module in hundreds of small ways, and tells which of them its own tests let pass.

    python -m tests.mutants [module …]        such as gateway/http/target.py; all of them without any

Not part of `make test`: the modules take some minutes each. Needs the extra gateway[mutants]. A mutant that survives is
a test that is missing, or code that does nothing.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Those with rules in them, each with the tests that alone must catch every mistake.
_MODULES = {
    "http": ("target", "headers", "conditions", "freshness", "cache_status"),
    "server": ("response_cache",),
    "upstream": ("parser", "circuit_breaker"),
    "storage/s3": ("layout", "errors", "listing"),
    "storage/s3/signing": ("sigv4", "cloudfront_signer"),
    "index/simple": ("names", "negotiation", "pages", "static_page", "tags", "web_url"),
    "index/catalog": ("packed",),
    "index/mirror": ("json_pieces", "upstream_page"),
    "index/wheels": ("known_metadata",),
    "cache": ("refreshing", "lru", "memory", "patience"),
    "cache/disk": ("blocks", "cache"),
    "transfer": ("file_broadcast", "memory_broadcast"),
    ".": ("single_flight",),
}
MODULES = {
    str(Path("gateway", folder, f"{name}.py")): str(Path("tests", folder, f"test_{name}.py"))
    for folder, names in _MODULES.items()
    for name in names
}
_CONFIG = """
[tool.mutmut]
source_paths = ["gateway"]
only_mutate = ["{module}"]
pytest_add_cli_args_test_selection = ["{tests}"]
pytest_add_cli_args = ["-x", "-p", "no:cacheprovider"]
process_isolation = "forkserver"
timeout_constant = 5.0
use_git_change_detection = false
"""
_SURVIVED = re.compile(r"^\s+(\S+): (survived|no tests|suspicious)$", re.MULTILINE)
_COPIED = ("gateway", "tests", "pyproject.toml", "README.md", "docs", "config.yaml")


def main(modules: list[str]) -> int:
    for module in modules or list(MODULES):
        print(_report(module), flush=True)
    return 0


def _report(module: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in _COPIED:
            (shutil.copytree if Path(name).is_dir() else shutil.copy)(name, root / name)
        with (root / "pyproject.toml").open("a") as file:
            file.write(_CONFIG.format(module=module, tests=MODULES[module]))
        ran = _mutmut(root, "run")
        if ran.returncode:
            return f"{module}: mutmut failed\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
        results = _mutmut(root, "results", "--all", "true").stdout
        survivors = [name for name, _ in _SURVIVED.findall(results)]
        total = len(re.findall(r"^\s+\S+: ", results, re.MULTILINE))
        shown = "".join(_mutmut(root, "show", name).stdout for name in survivors)
    killed = total - len(survivors)
    return f"{shown}\n{module}: {killed} of {total} killed, {100 * killed / max(total, 1):.1f} %"


def _mutmut(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).parent / "mutmut"), *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
