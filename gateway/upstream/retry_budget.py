"""Limits the retries of all clients together. Pure.

Each client retries a few times; together, the clients multiply the load on a server that fails because of load.
"""

_RESERVE = 10.0
_PER_ANSWER = 0.2


class RetryBudget:
    """A token bucket: each retry takes a token, each good answer brings a fifth of one.

    The reserve lets a lone failure be retried at once. While nothing is answered, it is all that may be retried.
    """

    def __init__(self) -> None:
        self._tokens = _RESERVE
        self.taken = 0  # how many requests have been sent again

    def answered(self) -> None:
        self._tokens = min(self._tokens + _PER_ANSWER, _RESERVE)

    def broke(self) -> None:
        """An answer that was counted as good has broken off in its body."""
        self._tokens = max(self._tokens - _PER_ANSWER, 0.0)

    def take(self) -> bool:
        """Whether one request may be sent again."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        self.taken += 1
        return True
