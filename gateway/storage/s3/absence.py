"""Whether an object that the bucket does not give out is absent, or access to it has been lost."""

import time
from collections.abc import Callable

from gateway.errors import NotFoundError, UpstreamBusyError

_NO_SUCH_KEY = "NoSuchKey"
# Answers that mean an absent object only if the bucket never says NoSuchKey: S3's AccessDenied, to credentials that may
# not list the bucket, and a 404 that does not say what it is about.
_AMBIGUOUS = frozenset({"AccessDenied", "HTTP404"})
# If objects are still given out so long after the first ambiguous answer, access to the bucket is there: the permission
# to list it has been taken away.
_CHANGED_SECONDS = 60.0


class Absence:
    """Interprets the answers of one bucket.

    S3 says NoSuchKey of an absent object to credentials that have s3:ListBucket, and AccessDenied to others
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html). Once a bucket has said NoSuchKey, its
    AccessDenied is an outage, and so is the 404 page of a proxy in front of it; unless the key is one that the
    credentials may not read, which a listing tells.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._says_no_such_key = False
        self._ambiguous_since: float | None = None

    def outage(self, error: NotFoundError) -> UpstreamBusyError | None:
        """What the error means if the object need not be absent."""
        if error.code == _NO_SUCH_KEY:
            self._says_no_such_key, self._ambiguous_since = True, None
        elif self._says_no_such_key and error.code in _AMBIGUOUS:
            if self._ambiguous_since is None:
                self._ambiguous_since = self._clock()
            return UpstreamBusyError(error.detail, code=error.code, upstream_status=error.upstream_status)
        return None

    def given_out(self) -> None:
        """The bucket has given out an object."""
        since = self._ambiguous_since
        if since is not None and self._clock() - since > _CHANGED_SECONDS:
            self._says_no_such_key, self._ambiguous_since = False, None
