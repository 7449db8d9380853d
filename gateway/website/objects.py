"""The objects of a site: all that its clients get of them passes here."""

import logging
from collections.abc import Sequence

from gateway.cache.limited_log import LimitedLog
from gateway.http.headers import WEBSITE_REDIRECT, as_html
from gateway.index.simple.cache_control import REVALIDATE, with_default
from gateway.messages import ObjectRequest, Redirect, SiteRequest, Stream
from gateway.website.content.client_lifetimes import ClientLifetimes
from gateway.website.content.representations import Representations
from gateway.website.references import permitted_redirect

log = logging.getLogger("gateway.website")


class SiteObjects:
    """Fetches objects, and gives their answers the headers that they have in a site."""

    def __init__(
        self,
        objects: Representations,
        lifetimes: ClientLifetimes,
        *,
        website_redirects: bool,
        redirect_hosts: Sequence[str],
    ) -> None:
        """With `website_redirects`, the storage tells where an object redirects to: to the same site, or to one of
        `redirect_hosts`."""
        self._objects = objects
        self._lifetimes = lifetimes
        self._website_redirects = website_redirects
        self._hosts = frozenset(host.lower() for host in redirect_hosts)
        self._log = LimitedLog(log)

    async def close(self) -> None:
        await self._objects.close()

    def expire(self) -> None:
        """Forgets what is known of objects."""
        self._objects.expire()

    async def fetch(self, asked: ObjectRequest, request: SiteRequest, *, page: bool = False) -> Stream | Redirect:
        """What the client that made `request` gets of the object that is `asked` for. `page`: a directory is shown by
        it. Every Stream of a site comes from here. Raises the errors of the storage."""
        answer = await self._objects.fetch(asked, request)
        if isinstance(answer, Redirect):
            return answer
        if self._website_redirects and (elsewhere := self._redirected(answer, asked.key, request)) is not None:
            answer.close()
            return elsewhere
        # Without a Cache-Control, a client might guess a lifetime from Last-Modified (RFC 9111, 4.2.2).
        lifetime = self._lifetimes.of(asked.key, answer.headers) or (REVALIDATE if page else "")
        # A 304 of the bucket itself may leave out what the object says, as MinIO's does: what the client has counts.
        if lifetime and answer.upstream_status != 304:
            answer.headers = with_default(answer.headers, lifetime)
        if page and answer.status != 304:
            answer.headers = as_html(answer.headers)
        return answer

    def _redirected(self, answer: Stream, key: str, request: SiteRequest) -> Redirect | None:
        """Where the object sends the client, if it may. Takes the header from the answer in any case."""
        location = answer.headers.get(WEBSITE_REDIRECT)
        if location is None:
            return None
        answer.headers = {name: value for name, value in answer.headers.items() if name != WEBSITE_REDIRECT}
        target = permitted_redirect(request.path, location, self._hosts)
        if target is None:
            self._log.write(logging.WARNING, "%r is served as it is: it redirects to where it must not", key)
            return None
        return Redirect(target, 301, {"Cache-Control": answer.headers.get("Cache-Control", REVALIDATE)})
