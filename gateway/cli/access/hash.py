"""`gateway access hash`: hashes for `access.users`."""

import getpass
import sys
from collections.abc import Callable
from typing import TextIO

from gateway.access.hashing.passwords import new_hash


def print_hash(write: Callable[[str], None], source: TextIO) -> int:
    """Asks for a password twice, or takes the first line of a source that is no terminal."""
    try:
        if source.isatty():
            password = getpass.getpass()
            if getpass.getpass("Again: ") != password:
                raise ValueError("the two passwords differ")
        else:
            password = source.readline().removesuffix("\n").removesuffix("\r")
        write(new_hash(password.encode()))
    except EOFError:
        print("gateway: no password was given", file=sys.stderr)
        return 1
    except UnicodeError:  # before ValueError, which it is: its text quotes the password
        print("gateway: the password is not UTF-8", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1
    return 0
