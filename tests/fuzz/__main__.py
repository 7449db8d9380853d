"""`make fuzz`: half a minute of random input for each harness. Needs the extra s3-package-gateway[fuzz].

    python -m tests.fuzz [--seconds 30] [harness …]

Starts from tests/fuzz/corpus/. An input that breaks a harness is left in build/fuzz/: put it into the corpus, where
tests/fuzz/test_corpus.py holds it for good.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path("build/fuzz")
_MAX_INPUT_BYTES = 4096
_SLOW_SECONDS = 5
_MAX_MEGABYTES = 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("harness", nargs="*")
    arguments, libfuzzer = parser.parse_known_args()
    if arguments.run:
        _fuzz(arguments.run, arguments.harness + libfuzzer)
    names = arguments.harness or sorted(folder.name for folder in CORPUS.iterdir() if folder.is_dir())
    broken = [name for name in names if not _run(name, arguments.seconds)]
    for name in broken:
        print(f"{name}: broken; see the input in {FOUND}/")
    return 1 if broken else 0


def _run(name: str, seconds: int) -> bool:
    """Whether nothing broke."""
    FOUND.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as new:
        command = [sys.executable, "-m", "tests.fuzz", "--run", name, new, str(CORPUS / name)]
        command += [f"-max_total_time={seconds}", f"-timeout={_SLOW_SECONDS}", f"-rss_limit_mb={_MAX_MEGABYTES}"]
        command += [f"-max_len={_MAX_INPUT_BYTES}", f"-artifact_prefix={FOUND}/{name}-", "-print_final_stats=1"]
        print(f"--- {name}", flush=True)
        return subprocess.run(command, check=False).returncode == 0


def _fuzz(name: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["gateway"]):
        from tests.fuzz.harnesses import HARNESSES
    atheris.Setup([sys.argv[0], *arguments], HARNESSES[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
