"""The manual's picture of a project page: `gateway serve` with a few small wheels, seen by Chromium.

Usage: python -m tests.support.picture (writes docs/pages/img/project.png)
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

TARGET = Path(__file__).parents[2] / "docs/pages/img/project.png"
_README = """\
Invoices, credit notes and reminders for all of Acme's services.

```python
from acme_billing import Invoice

invoice = Invoice(customer="4711")
invoice.add("Consulting", hours=3, rate=120)
invoice.send()
```
"""
_RELEASES = {"2.1.0": 1779530000, "2.0.1": 1777630000, "2.0.0": 1775730000}  # times of upload, since the epoch
_READY_SECONDS = 10


def main() -> int:
    """Writes the picture; returns the exit code."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("there is no chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        packages = Path(scratch, "packages")
        _publish(packages / "acme-billing")
        command = [sys.executable, "-m", "gateway", "serve", "--dir", str(packages), "--port", "0"]
        command += ["--set", "server.public_url=https://pypi.acme.example"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
            try:
                assert server.stderr is not None
                line = next(line for line in server.stderr if "listening on " in line)
                url = line.rpartition("listening on ")[2].strip() + "/acme-billing/"
                _wait_for_facts(url)
                browser = [chromium, "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1000,1060"]
                browser += [f"--user-data-dir={scratch}/chromium", f"--screenshot={TARGET}", url]
                subprocess.run(browser, check=True, capture_output=True, timeout=60)
            finally:
                server.terminate()
    return 0


def _publish(project: Path) -> None:
    project.mkdir(parents=True)
    for version, uploaded in _RELEASES.items():
        file = project / f"acme_billing-{version}-py3-none-any.whl"
        file.write_bytes(_wheel(version))
        os.utime(file, (uploaded, uploaded))
    (project / "acme_billing-2.0.0-py3-none-any.whl.yanked").write_text("rounds totals twice")


def _wheel(version: str) -> bytes:
    fields = {
        "Metadata-Version": "2.4",
        "Name": "acme-billing",
        "Version": version,
        "Summary": "Invoices, credit notes and reminders",
        "Requires-Python": ">=3.11",
        "License-Expression": "MIT",
        "Requires-Dist": "httpx",
        "Project-URL": "Source, https://git.acme.example/billing",
        "Description-Content-Type": "text/markdown",
    }
    metadata = "".join(f"{name}: {value}\n" for name, value in fields.items()) + f"\n{_README}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("acme_billing.py", "#" * (30_000 + 1_000 * len(version)))
        archive.writestr(f"acme_billing-{version}.dist-info/METADATA", metadata)
    return buffer.getvalue()


def _wait_for_facts(url: str) -> None:
    """Asks until the page shows the hash of every file: the gateway finds them out in the background."""
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    for _ in range(_READY_SECONDS * 10):
        with urllib.request.urlopen(request) as answer:
            if answer.read().count(b'"sha256"') >= len(_RELEASES):
                return
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
