"""Headers that all answers of a site have, by the path that was asked for: pages, files, redirects and errors. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.messages import Answer, Stream
from gateway.website.patterns import PathPatterns, single_slashes


class AnswerHeaders:
    """Those of the first pattern that fits. What an answer says itself stays, as the pages that the gateway makes say
    what may run in them."""

    def __init__(self, entries: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """`entries` are patterns and headers, whose names are written like the gateway's own."""
        self._patterns = PathPatterns(pattern for pattern, _ in entries)
        self._headers = [headers for _, headers in entries]

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return bool(self._headers)

    def added(self, path: str, answer: Answer) -> Answer:
        """The answer to a request for `path`, with these headers. A Stream is changed in place. The path counts with
        single slashes, by which the same content is found."""
        found = self._patterns.find(single_slashes(path))
        if found is None:
            return answer
        headers = {**self._headers[found[0]], **answer.headers}
        if isinstance(answer, Stream):
            answer.headers = headers
            return answer
        return replace(answer, headers=headers)
