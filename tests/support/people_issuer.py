"""An issuer on loopback at which people log in, by the code flow with PKCE. Checks what the gateway sends."""

import asyncio
import base64
import hashlib
import ssl
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from tests.support.issuer import Issuer, rsa_key

CLIENT, SECRET = "the-client", "the-s3cret"


class PeopleIssuer(Issuer):
    """Whoever comes is `user`, and presses one button. `changed` replaces claims of the ID token, which is given out
    while `gives` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.user = "zoe"
        self.changed: dict[str, Any] = {}
        self.key = rsa_key()
        self.begun: dict[str, dict[str, str]] = {}
        self.exchanged = 0
        self.gives = asyncio.Event()
        self.gives.set()

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        await super().start(port, tls)
        self.metadata |= {"authorization_endpoint": self.url + "/authorize", "token_endpoint": self.url + "/token"}

    def settings(self, **more: Any) -> dict[str, Any]:
        """Of access.login.oidc."""
        return {
            "issuer": self.url,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "subject_claim": "preferred_username",
            **more,
        }

    def back(self, location: str) -> str:
        """The address to which the browser is sent back, which was sent to `location`."""
        fields = dict(parse_qsl(location.partition("?")[2]))
        assert location.startswith(self.url + "/authorize?")
        assert (fields["response_type"], fields["client_id"]) == ("code", CLIENT)
        assert fields["code_challenge_method"] == "S256"
        code = f"code-{len(self.begun)}"
        self.begun[code] = fields
        return f"{fields['redirect_uri']}?{urlencode({'code': code, 'state': fields['state'], 'iss': self.url})}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/authorize":
            link = self.back(f"{self.url}{request.path_qs}").replace("&", "&amp;")
            return web.Response(
                text=f'<link rel="icon" href="data:,"><a href="{link}">Continue</a>', content_type="text/html"
            )
        if request.path == "/token" and "/token" not in self.answers:
            self.exchanged += 1
            await self.gives.wait()
            return self._token(await request.text(), request.headers.get("Authorization", ""))
        return await super()._handle(request)

    def _token(self, body: str, authorization: str) -> web.Response:
        form = dict(parse_qsl(body))
        begun = self.begun.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        if authorization != "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode():
            return web.json_response({"error": "invalid_client"}, status=401)
        if begun is None or challenge.rstrip("=") != begun["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        assert form["redirect_uri"] == begun["redirect_uri"]
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "248289761001",
            "iat": now,
            "exp": now + 60,
            "nonce": begun["nonce"],
            "preferred_username": self.user,
            "groups": ["data"],
        }
        token = self.key.token(claims | self.changed)
        return web.json_response({"access_token": "a", "token_type": "Bearer", "id_token": token})
