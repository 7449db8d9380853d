"""Somebody with a browser, for tests of the login: keeps cookies, follows no redirect, and sends what a test wants."""

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode

import aiohttp
from yarl import URL

NAVIGATION = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
}


@dataclass
class Page:
    status: int
    headers: dict[str, str]
    text: str
    set_cookies: list[str]

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    def hidden(self, name: str) -> str:
        """The value of a form's hidden field."""
        [value] = re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)">', self.text)
        return unescape(value)


@dataclass
class Visitor:
    url: str
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, target: str, method: str = "GET", **headers: str) -> Page:
        return await self._send(method, target, None, headers)

    async def post(self, target: str, form: dict[str, str] | bytes, **headers: str) -> Page:
        body = urlencode(form).encode() if isinstance(form, dict) else form
        return await self._send("POST", target, body, {"Content-Type": "application/x-www-form-urlencoded"} | headers)

    async def log_in(self, user: str, password: str = "", to: str = "/") -> Page:
        """At the form."""
        page = await self.get(f"/-/login?{urlencode({'to': to})}")
        form = {
            "user": user,
            "password": password or f"pw-{user}",
            "form": page.hidden("form"),
            "to": page.hidden("to"),
        }
        return await self.post("/-/login", form)

    async def _send(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Page:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in (NAVIGATION | given).items() if value}
        if self.cookies and "Cookie" not in sent:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        url = URL(self.url + target, encoded=True)
        async with aiohttp.request(method, url, headers=sent, data=body, allow_redirects=False) as answer:
            set_cookies = answer.headers.getall("Set-Cookie", [])
            for cookie in set_cookies:
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
                if "Max-Age=0" in cookie:
                    del self.cookies[name]
            return Page(answer.status, dict(answer.headers), (await answer.read()).decode(), list(set_cookies))
