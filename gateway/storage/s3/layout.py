"""Maps keys to object names in the bucket: below a prefix, and in pypicloud's buckets below a hash."""

import hashlib
import re

_HASHED = re.compile(r"[0-9a-f]{4}/(.*)", re.DOTALL)


class Layout:
    """Converts keys, which clients use, to object names, which the bucket uses, and back. Pure."""

    def __init__(self, prefix: str, *, prepend_hash: bool = False, index_document: str = "index.html") -> None:
        self._prefix = prefix
        self._index_document = index_document
        self.prepend_hash = prepend_hash

    def object_name(self, key: str) -> str:
        """With storage.prepend_hash, `project/file` is stored as `md5(file)[:4]/project/file`, as pypicloud does.

        pypicloud stores nothing else in the bucket. Index documents have no hash.
        """
        project, _, file = key.partition("/")
        if self.prepend_hash and project and file and "/" not in file and file != self._index_document:
            digest = hashlib.md5(file.encode(), usedforsecurity=False).hexdigest()
            return f"{self._prefix}{digest[:4]}/{key}"
        return self._prefix + key

    def key(self, object_name: str) -> str | None:
        """The key of a listed object; None if no key maps to it."""
        key = object_name.removeprefix(self._prefix)
        if self.prepend_hash and (match := _HASHED.fullmatch(key)) and self.object_name(match[1]) == object_name:
            return match[1]
        return key if self.object_name(key) == object_name else None

    def is_alias(self, key: str) -> bool:
        """Whether the object has another key, by which listings know it: `4f3a/project/file` is `project/file`. The
        rights to that one would not be asked for."""
        return self.prepend_hash and self.key(self.object_name(key)) != key

    def listing_prefix(self, prefix: str) -> str:
        """A prefix of the names of all objects whose keys start with `prefix`."""
        return self._prefix if self.prepend_hash else self._prefix + prefix
