"""`make mutants`: breaks a module in hundreds of small ways, and tells which of them its own tests let pass.

    python -m tests.mutants [--processes N] [module …]        such as gateway/http/target.py; all of them without any

Prints how each survivor differs from the code, and a table of all modules at the end. Not part of `make test`: the
modules take half a minute or more each. Needs the extra s3-package-gateway[mutants], of which it
uses what makes mutants; see
support/mutation.py for how they are run. A mutant that survives is a test that is missing, code that does nothing, or a
change that nobody outside can tell from the code.
"""

import argparse
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents

from tests.support.mutable import mutable

# Those with rules in them, each with the tests that alone must catch every mistake: the file that mirrors it.
_MODULES = {
    "http": ("target", "headers", "conditions", "freshness", "cache_status"),
    "cache": ("lru", "memory", "patience", "refreshing", "cached_response", "fills"),
    "cache/disk": ("blocks", "cache", "entry", "quota", "source", "temp_entry"),
    "index/simple": (
        "cache_control",
        "names",
        "negotiation",
        "page_edit",
        "pages",
        "static_page",
        "stored",
        "tags",
        "web_url",
    ),
    "storage/s3": ("absence", "errors", "layout", "listing"),
    "storage/s3/signing": ("sigv4", "cloudfront_signer"),
    "upstream": ("parser", "circuit_breaker", "retry_budget"),
    "server": ("response_cache",),
    "index/catalog": ("packed",),
    "index/mirror": ("json_pieces", "upstream_page"),
    "index/wheels": ("known_metadata",),
    "transfer": ("file_broadcast", "memory_broadcast"),
    ".": ("single_flight",),
    "rights": ("patterns", "policy", "subjects"),
    "access": (
        "attempts",
        "authentication",
        "credentials",
        "familiar",
        "gate",
        "outages",
        "principals",
        "private_answers",
    ),
    "access/tokens": ("base62", "keys", "token"),
    "access/login": (
        "flow",
        "forward_auth",
        "local_path",
        "navigation",
        "own_pages",
        "pages",
        "password_login",
        "session",
        "signed_cookie",
        "visit",
    ),
    "access/oidc": ("claims", "jwt", "keys", "strict_json"),
    "access/hashing": ("password_checks",),
    "index": ("readable", "resources"),
    "ops": ("audit_objects", "bearer"),
    "cli/access": ("expectations", "question"),
    "publish/management": ("fields",),
    "publish": (
        "form",
        "inspection",
        "release_file",
        "rules",
        "tar_member",
        "tar_scan",
        "zip_directory",
        "zip_scan",
    ),
}
# Those whose tests are not in the file that mirrors them alone.
_TESTS = {
    "access/authentication": ["access/test_authentication", "access/test_authentication_counts"],
    "access/tokens/base62": ["access/tokens/test_token"],
    "access/tokens/keys": ["access/tokens/test_token"],
    "access/outages": ["access/test_outages", "access/test_outages_ask", "access/test_authentication"],
    "access/login/password_login": ["access/login/test_password_form"],
    "cli/access/expectations": ["cli/access/test_test"],
    "cli/access/question": ["cli/access/test_question", "cli/access/test_explain", "cli/access/test_test"],
    "rights/policy": ["rights/test_policy_judges", "rights/test_policy"],
    "access/gate": ["access/test_gate_admits"],
}
MODULES = {
    str(Path("gateway", folder, f"{name}.py")): [str(Path("tests", folder, f"test_{name}.py"))]
    for folder, names in _MODULES.items()
    for name in names
}
for module, files in _TESTS.items():
    MODULES[f"gateway/{module}.py"] = [f"tests/{file}.py" for file in files]
for name in ("entry", "quota", "temp_entry"):
    MODULES[f"gateway/cache/disk/{name}.py"].append("tests/cache/disk/test_cache.py")
MODULES["gateway/cache/disk/cache.py"].append("tests/cache/disk/test_open_entries.py")
MODULES["gateway/cache/fills.py"].append("tests/cache/test_fills_kept.py")
MODULES["gateway/server/response_cache.py"].append("tests/server/test_response_cache_limits.py")
MODULES["gateway/index/mirror/upstream_page.py"].append("tests/index/mirror/test_upstream_page_fields.py")
# A method's mutant is `xǁClassǁmethod__mutmut_3`, a function's is `x_function__mutmut_3`.
_NAME = re.compile(r"x(?:ǁ(?P<of>\w+)ǁ|_)(?P<name>\w+)__mutmut_(?P<number>\d+)")
_GENERATED = re.compile(r" # type: ignore # mutmut generated$", re.MULTILINE)
_COPIED = ("gateway", "tests", "pyproject.toml", "README.md", "docs", "config.yaml")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a module's mutants; those that ran out of time count as killed."""

    module: str
    total: int = 0
    by_time: int = 0
    survivors: tuple[str, ...] = ()
    failed: bool = False

    @property
    def row(self) -> tuple[str, ...]:
        if self.failed:
            return self.module, "", "", "", "its tests fail without a mutant"
        killed = 100 * (self.total - len(self.survivors)) / max(self.total, 1)
        return self.module, str(self.total), f"{killed:.1f} %", str(self.by_time), _numbers(self.survivors)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="modules at a time")
    parser.add_argument("modules", nargs="*", default=list(MODULES), metavar="module")
    options = parser.parse_args(arguments)
    with ThreadPoolExecutor(options.processes) as executor:
        results = list(executor.map(_result, options.modules))
    print(_table([("module", "mutants", "killed", "by time", "survivors"), *(result.row for result in results)]))
    return any(result.failed for result in results)


def _result(module: str) -> Result:
    """Runs the module's mutants, and prints how those that survive differ from it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in _COPIED:
            (shutil.copytree if Path(name).is_dir() else shutil.copy)(name, root / name)
        mutated = mutate_file_contents(module, mutable((root / module).read_text()))
        (root / module).write_text(mutated.code)
        names = list(mutated.mutant_names)
        file, dotted = root / "mutants.json", module.removesuffix(".py").replace("/", ".")
        file.write_text(json.dumps([f"{dotted}.{name}" for name in names]))
        options = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "tests.support.mutation", "--mutants", str(file))
        command = [sys.executable, "-m", "pytest", *options, *MODULES[module]]
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if ran.returncode:
            print(ran.stdout[-2000:] + ran.stderr[-2000:], flush=True)
            return Result(module, failed=True)
        results: list[str] = json.loads(file.read_text())
    survivors = tuple(name for name, result in zip(names, results, strict=True) if result == "survived")
    lines = _GENERATED.sub("", mutated.code).splitlines()
    functions = {
        name: [line.replace(name, name.rpartition("__")[0]) for line in lines[span.start - 1 : span.end]]
        for name, span in mutated.line_span_by_function_name.items()
    }
    shown = [_difference(name, functions) for name in survivors]
    result = Result(module, len(names), results.count("by time"), survivors)
    print(*shown, "  ".join(result.row), sep="\n", flush=True)
    return result


def _difference(name: str, functions: dict[str, list[str]]) -> str:
    changes = difflib.unified_diff(functions[name.rpartition("_")[0] + "_orig"], functions[name], n=0, lineterm="")
    return "\n".join([f"# {name}", *(line for line in changes if line[:2] not in ("--", "++", "@@"))])


def _numbers(survivors: Iterable[str]) -> str:
    """The survivors' numbers by function."""
    numbers: dict[str, list[str]] = {}
    for name in survivors:
        if match := _NAME.fullmatch(name):
            function = f"{match['of']}.{match['name']}" if match["of"] else match["name"]
            numbers.setdefault(function, []).append(match["number"])
    return ", ".join(f"{function} {' '.join(of)}" for function, of in numbers.items())


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
