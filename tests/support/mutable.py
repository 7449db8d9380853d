"""The source of a module, so that mutmut breaks all of it (see tests/mutants.py)."""

import ast
import re

# What these return is the same without it.
_CACHE = re.compile(r"^ *@lru_cache.*\n", re.MULTILINE)
_PROPERTIES = ("property", "cached_property")


def mutable(source: str) -> str:
    """mutmut leaves decorated functions alone: properties become functions that an assignment makes properties of."""
    source = _CACHE.sub("", source)
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and len(node.decorator_list) == 1:
            decorator = node.decorator_list[0]
            if isinstance(decorator, ast.Name) and decorator.id in _PROPERTIES:
                assert node.end_lineno is not None
                lines[decorator.lineno - 1] = ""
                lines[node.end_lineno - 1] += f"\n{' ' * node.col_offset}{node.name} = {decorator.id}({node.name})"
    return "\n".join(lines) + "\n"
