"""Where in the bucket a key is: below a prefix, and for pypicloud's buckets below a hash."""

import hashlib
import re

_HASHED = re.compile(r"[0-9a-f]{4}/(.*)", re.DOTALL)


class Layout:
    """Keys, which clients know, to names of objects, which the bucket knows, and back. Pure."""

    def __init__(self, prefix: str, *, prepend_hash: bool = False, index_document: str = "index.html") -> None:
        self._prefix = prefix
        self._index_document = index_document
        self.prepend_hash = prepend_hash

    def object_name(self, key: str) -> str:
        """`project/file` is `md5(file)[:4]/project/file` where pypicloud has stored it with storage.prepend_hash.

        Nothing else of pypicloud's lies in the bucket; index documents are where they would be without it.
        """
        project, _, file = key.partition("/")
        if self.prepend_hash and project and file and "/" not in file and file != self._index_document:
            digest = hashlib.md5(file.encode(), usedforsecurity=False).hexdigest()
            return f"{self._prefix}{digest[:4]}/{key}"
        return self._prefix + key

    def key(self, object_name: str) -> str | None:
        """The key of a listed object; None for one that no key leads to."""
        key = object_name.removeprefix(self._prefix)
        if self.prepend_hash and (match := _HASHED.fullmatch(key)) and self.object_name(match[1]) == object_name:
            return match[1]
        return key if self.object_name(key) == object_name else None

    def listing_prefix(self, prefix: str) -> str:
        """What all objects whose keys start with `prefix` start with."""
        return self._prefix if self.prepend_hash else self._prefix + prefix
