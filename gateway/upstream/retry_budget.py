"""How many requests may be sent again, for all clients together. Pure.

Each client's retries are few; those of all clients multiply the load on a server that is failing because of load.
"""

_RESERVE = 10.0
_PER_ANSWER = 0.2


class RetryBudget:
    """A token bucket: each retry takes a token, each good answer brings a fifth of one.

    A lone failure is retried at once from the reserve; while nothing is answered, no more than the reserve is sent.
    """

    def __init__(self) -> None:
        self._tokens = _RESERVE

    def answered(self) -> None:
        self._tokens = min(self._tokens + _PER_ANSWER, _RESERVE)

    def broke(self) -> None:
        """What was counted as a good answer ended in its body."""
        self._tokens = max(self._tokens - _PER_ANSWER, 0.0)

    def take(self) -> bool:
        """Whether one request may be sent again."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
