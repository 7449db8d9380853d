"""The settings of an HTTP service that knows the users."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from gateway.config.section import Section
from gateway.config.types import EndpointUrl, Refused, Seconds

_PATH = re.compile(r"/[!-~]*")


def _path(text: str) -> str:
    if not _PATH.fullmatch(text) or "?" in text or "#" in text:
        raise Refused("must be a path, like /verify, percent-encoded and without a query")
    return text


UrlPath = Annotated[str, AfterValidator(_path)]


class RemoteSettings(Section):
    """A service of your own that knows the users."""

    url: EndpointUrl = Field(description="URL of the service; with protocol pypicloud, what its paths are added to")
    protocol: Literal["json", "pypicloud"] = Field(
        "json",
        description="json: POST user and password; pypicloud: the GET requests of its remote backend, which have the "
        "password in their URL, so that it ends in the logs of the service and of all proxies on the way",
    )
    user: str = Field("", description="User of the gateway itself at the service, for HTTP Basic", pattern="^[^:]*$")
    password: SecretStr = Field(SecretStr(""), description="Password of that user")
    verify_path: UrlPath = Field("/verify", description="With protocol pypicloud: path that checks a password")
    groups_path: UrlPath = Field("/groups", description="With protocol pypicloud: path that lists a user's groups")
    admin_path: UrlPath = Field("/admin", description="With protocol pypicloud: path that says who is an admin")
    timeout: Seconds = Field(5.0, le=5, description="Seconds that all requests for one password may take together")
