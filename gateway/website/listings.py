"""The listings of a site: what its directories have, as each reader may see it."""

import logging
from collections.abc import Callable

from gateway.cache.limited_log import LimitedLog
from gateway.cache.lru import MemoryLimit, weight_of
from gateway.cache.patience import Patience
from gateway.cache.refreshing import RefreshedValue, RefreshingCache
from gateway.errors import ACCESS_DENIED, NotFoundError, UpstreamBusyError
from gateway.executors import PAGES
from gateway.http.cache_status import hit
from gateway.index.etags import conditional
from gateway.index.rendered import RenderedPages
from gateway.index.simple.cache_control import REVALIDATE
from gateway.index.simple.negotiation import encoding_for
from gateway.messages import BufferedResponse, SiteRequest
from gateway.principal import Right
from gateway.storage.base import Storage
from gateway.website.forms import Form, Wanted, begins_after, wanted
from gateway.website.listing import Listing, last_readable, listing_of, readable
from gateway.website.listing_forms import PAGE_HEADERS, next_page, render
from gateway.website.rights import SiteRights

# A page has no more, and takes one request to a bucket.
PER_PAGE = 1000
_ENTRY_BYTES, _OVERHEAD_BYTES = 300, 300

log = logging.getLogger("gateway.website")


class Listings:
    """Lists directories on demand, and keeps what was listed for a while, as a package index does."""

    def __init__(
        self,
        storage: Storage,
        root: str,
        rights: SiteRights,
        *,
        refresh: float,
        stale_if_error: float,
        memory: MemoryLimit,
        patience: Patience,
    ) -> None:
        """`root` is the key of the site's root. A listing is used for `refresh` seconds, and for `stale_if_error` more
        while the storage can't be reached."""
        self._storage = storage
        self._root = root
        self._rights = rights
        self._refresh = refresh
        self._listed = False
        self._log = LimitedLog(log)
        self._pages = RenderedPages("pages of a site", memory)
        self._listings: RefreshingCache[tuple[str, str], Listing] = RefreshingCache(
            self._list,
            fresh_seconds=refresh,
            stale_if_error=stale_if_error,
            name="listings of a site",
            memory=memory,
            weigh=lambda found: _OVERHEAD_BYTES + sum(_ENTRY_BYTES + weight_of(entry.name) for entry in found.entries),
            patience=patience,
        )

    async def close(self) -> None:
        await self._listings.close()

    def expire(self) -> None:
        """Has everything listed again before it is shown."""
        self._listings.expire()
        log.info("Dropped all listings.")

    async def page(self, request: SiteRequest, prefix: str) -> BufferedResponse | None:
        """A page of a directory; None if an object with content has the directory's name. Raises NotFoundError if there
        is no such directory, or it may not be listed, and never could be; BadRequestError and NotAcceptableError for a
        query or an Accept that can't be met; and the errors of the storage."""
        accept = ", ".join(request.headers.getall("Accept", ()))
        after = begins_after(request.query)
        found = await self._listings.get((prefix, after))
        listing = found.value
        if listing.is_object:
            return None
        asked = wanted(accept, request.query)
        if listing.absent and not after and prefix != self._root:
            raise NotFoundError("no object lies there")
        path = f"/{prefix.removeprefix(self._root)}"
        page = await self._pages.get(
            (prefix, after, asked, request.principal.view),
            encoding_for(", ".join(request.headers.getall("Accept-Encoding", ()))),
            [listing],
            None,
            lambda: render(asked.form, path, self._seen(listing, prefix, request), asked.named),
        )
        headers = self._headers(found, asked, last_readable(listing, prefix, self._may_read(request)))
        if page.encoding is not None:
            headers["Content-Encoding"] = page.encoding
        fresh_for = 0.0 if found.stale else max(self._refresh - found.age, 0.0)
        return conditional(page.body, page.etag, headers, request.wanted, fresh_for)

    def _headers(self, found: RefreshedValue[Listing], asked: Wanted, last: str) -> dict[str, str]:
        headers = {
            "Content-Type": asked.form.value,
            "Vary": "Accept, Accept-Encoding",
            "Cache-Control": REVALIDATE,
            **(PAGE_HEADERS if asked.form is Form.HTML else {}),
        }
        if following := next_page(last, asked.named):
            headers["Link"] = f'<{following}>; rel="next"'
        if found.age >= 1 or found.stale:
            headers["Cache-Status"] = hit(self._refresh - found.age, stale=found.stale)
        if found.stale:
            headers["Age"] = str(int(found.age))
        return headers

    def _seen(self, listing: Listing, prefix: str, request: SiteRequest) -> Listing:
        """What the reader may see of it. In a thread: a decision about each entry takes a while."""
        if not self._rights.limited:
            return listing
        return readable(listing, prefix, self._may_read(request))

    def _may_read(self, request: SiteRequest) -> Callable[[str], bool]:
        return lambda key: self._rights.permits(request.principal, Right.READ, key)

    async def _list(self, asked: tuple[str, str]) -> Listing:
        prefix, after = asked
        try:
            children = await self._storage.children(prefix, limit=PER_PAGE, after=after)
        except NotFoundError as error:
            if error.code != ACCESS_DENIED:
                raise
            if self._listed:  # a refusal where there was none before is an outage
                raise UpstreamBusyError(error.detail, code=error.code, upstream_status=error.upstream_status) from error
            self._log.write(logging.WARNING, "no permission to list the bucket (s3:ListBucket): site.listing needs it")
            raise
        self._listed = True
        return await PAGES.run(listing_of, prefix, children)
