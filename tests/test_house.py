"""The shape of the house: what DESIGN.md and the contributors' guide say of files and folders."""

import ast
import subprocess
import sys
from pathlib import Path

import gateway

HOME = Path(gateway.__file__).parent
MODULES = sorted(HOME.rglob("*.py"))
MAX_LINES, MAX_FILES = 300, 15


def test_no_file_is_too_long() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in MODULES}
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}


def test_no_level_has_too_many_files() -> None:
    levels = {path.parent for path in MODULES}
    assert len(levels) > 10
    assert {level: count for level in levels if (count := len([*level.glob("*.py")])) > MAX_FILES} == {}


def test_each_module_says_what_it_is_for() -> None:
    assert [path for path in MODULES if not (ast.get_docstring(ast.parse(path.read_text())) or "").strip()] == []


def test_without_access_control_nothing_of_it_is_imported() -> None:
    code = """
import sys
import gateway.cli.serve
heavy = ("cryptography", "bcrypt", "passlib", "argon2", "jwt", "sqlalchemy", "ldap3", "botocore")
mine = [name for name in sys.modules if name.startswith("gateway.access.") and "login" not in name]
print([name for name in heavy if name in sys.modules], sorted(mine))
"""
    light = ["gateway.access.access", "gateway.access.file_watch", "gateway.access.private_answers"]
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == f"[] {light}\n"


def test_without_a_policy_nothing_of_it_is_imported() -> None:
    code = """
import sys
import gateway.cli.serve
print([name for name in sys.modules if name.startswith(("gateway.policy", "gateway.index.screening"))])
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
