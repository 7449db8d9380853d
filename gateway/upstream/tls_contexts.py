"""How TLS is spoken with servers: one context for all connectors that verify them alike."""

import ssl
from collections.abc import Hashable, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

from gateway.config.file_state import file_state

# The certificates of the system take 0.8 MB and 20 ms to load. With a hundred mounts, each would have its own.
_IN_USE = WeakValueDictionary[Hashable, ssl.SSLContext]()


def context_of(verify: bool | Path, client_cert: Sequence[Path]) -> ssl.SSLContext:
    """For what these mean in Connector. Files that have changed since another one read them are read anew. Raises
    OSError or ssl.SSLError if the files can't be used."""
    authorities = verify if isinstance(verify, Path) else Path(ssl.get_default_verify_paths().cafile or "")
    files = authorities, *client_cert
    way = verify, *files, *map(file_state, files)
    found = _IN_USE.get(way)
    if found is None:
        _IN_USE[way] = found = _made(verify, client_cert)
    return found


def _made(verify: bool | Path, client_cert: Sequence[Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if isinstance(verify, bool) else verify)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert:
        certificate, *key = client_cert
        context.load_cert_chain(certificate, key[0] if key else None, password=_no_password)
    return context


def _no_password() -> str:
    raise OSError("the key is encrypted")  # OpenSSL would ask for a password on the terminal
