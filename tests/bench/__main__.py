"""`make bench`: the gateway beside the nginx+lua setup, on this machine, in one run.

Absolute figures drift on shared machines; what counts is the ratio, of CPU time per request of all processes or of
seconds. Prints a Markdown table. A run takes some nine minutes; --quick two or three, --nightly a quarter of an hour.
--docs writes the table and the chart into the manual, and results.json beside this file.
"""

import argparse
import resource
import sys
from pathlib import Path

from tests.bench import cases, nginx, report, rig

HERE = Path(__file__).parent
PAGES = HERE.parent.parent / "docs" / "pages"
PAGE, CHART, RESULTS = PAGES / "performance.md", PAGES / "img" / "chart.svg", HERE / "results.json"
MARK = "<!-- bench -->\n"
END_MARK = "<!-- /bench -->"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--nightly", action="store_true")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    if (reason := nginx.missing()) is not None:
        print(f"can't compare: {reason}", file=sys.stderr)
        return 1
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    seconds, clients = (1, 10) if arguments.quick else (20, 50) if arguments.nightly else (5, 50)
    rows: list[cases.Row] = []
    with rig.running() as running:
        for measured in (
            cases.fetching(running, seconds),
            cases.remembered(running, seconds),
            cases.controlled(running, seconds),
            cases.mounted(running, seconds),
            cases.slow(running, 4 if arguments.quick else 15),
            cases.uploading(running, (20, 200 if arguments.quick else 1000), 1 if arguments.quick else 3),
            cases.far(running, 20 if arguments.quick else 100),
            cases.installing(running, clients),
        ):
            for row in measured:
                print(report.table([row]).splitlines()[-1], file=sys.stderr, flush=True)
                rows.append(row)
    rows = report.from_json(report.as_json(rows))  # rounded, so that all that is written agrees
    print(report.table(rows))
    if arguments.json is not None:
        arguments.json.write_text(report.as_json(rows))
    if arguments.docs:
        write(rows)
    return 0


def write(rows: list[cases.Row]) -> None:
    """Puts the figures into the manual, and keeps them for the tests that compare the two."""
    before, _, rest = PAGE.read_text().partition(MARK)
    PAGE.write_text(before + MARK + report.table(rows) + END_MARK + rest.partition(END_MARK)[2])
    CHART.write_text(report.chart(rows))
    RESULTS.write_text(report.as_json(rows))


if __name__ == "__main__":
    sys.exit(main())
