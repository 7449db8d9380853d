"""What became of each file, for a person or as lines of JSON; and the exit code."""

import json
from collections.abc import Callable

CONFLICT = 4


class Report:
    """`code` is 0, CONFLICT if another file has one of the names, or 1 if something else failed."""

    def __init__(self, write: Callable[[str], None], *, as_json: bool, skip_existing: bool = False) -> None:
        """With `skip_existing`, a conflict is no error."""
        self._write = write
        self._as_json = as_json
        self._skip_existing = skip_existing
        self.code = 0

    def say(self, file: str, outcome: str, reason: str) -> None:
        if self._as_json:
            self._write(json.dumps({"file": file, "outcome": outcome, "reason": reason}))
        else:
            self._write(f"{file}: {outcome}{f': {reason}' if reason else ''}")
        if outcome == "conflict" and not self._skip_existing:
            self.code = self.code or CONFLICT
        elif outcome in ("refused", "failed"):
            self.code = 1
