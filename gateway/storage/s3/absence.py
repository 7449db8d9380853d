"""Whether an object that the bucket does not give out is absent, or access to it has been lost."""

import time
from collections.abc import Callable

from gateway.errors import ACCESS_DENIED, NotFoundError, UpstreamBusyError

_NO_SUCH_KEY = "NoSuchKey"
# Answers that mean an absent object only if the bucket never shows absence by NoSuchKey or a listing: AccessDenied,
# which S3 returns without permission to list the bucket, and a 404 without an S3 error code.
_AMBIGUOUS = frozenset({ACCESS_DENIED, "HTTP404"})
# If the bucket still serves objects this long after the first ambiguous answer, only the permission to list has been
# revoked.
_CHANGED_SECONDS = 60.0


class Absence:
    """Interprets the answers of one bucket.

    S3 answers NoSuchKey for an absent object if the credentials have s3:ListBucket, and AccessDenied otherwise
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html). Once a bucket has answered NoSuchKey or been
    listed, its AccessDenied may be an outage, and so may the 404 page of a proxy in front of it. A listing of the key
    decides: credentials may be allowed to list or to read a part of the bucket only.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tells = False
        self._ambiguous_since: float | None = None

    def outage(self, error: NotFoundError) -> UpstreamBusyError | None:
        """Returns the outage that the error means unless a listing shows that the object is absent; else None."""
        if error.code == _NO_SUCH_KEY:
            self._tells, self._ambiguous_since = True, None
        elif self._tells and error.code in _AMBIGUOUS:
            if self._ambiguous_since is None:
                self._ambiguous_since = self._clock()
            return UpstreamBusyError(error.detail, code=error.code, upstream_status=error.upstream_status)
        return None

    def listed(self) -> None:
        """The bucket has been listed."""
        self._tells = True

    def given_out(self) -> None:
        """The bucket has served an object."""
        since = self._ambiguous_since
        if since is not None and self._clock() - since > _CHANGED_SECONDS:
            self._tells, self._ambiguous_since = False, None
