"""A gateway whose configuration is in a file that tests replace."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from gateway.app import Gateway
from gateway.config.source import Source

TOKEN = "the-admin-token"


class Reloadable:
    """`write` replaces the file, `reload` asks for what it has."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.gateway: Gateway
        self.http: aiohttp.ClientSession

    def write(self, **sections: Any) -> None:
        server = {"port": 0, "shutdown_grace": 5} | sections.pop("server", {})
        log = {"access": False, "audit": False} | sections.pop("log", {})
        ops = {"admin_token": TOKEN} | sections.pop("ops", {})
        self.write_text(json.dumps({"server": server, "log": log, "ops": ops} | sections))

    def write_text(self, text: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)

    async def start(self, settled: Callable[[], None] = lambda: None) -> None:
        source = Source.of(config_file=self.file, environ={})
        self.gateway = Gateway(source.settings(source.read())[0], source=source, settled=settled)
        await self.gateway.start()

    async def reload(self, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
        """The status, and what is told as JSON."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.post(f"{self.gateway.url}/-/reload", headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else {}

    async def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        async with self.http.get(self.gateway.url + path, headers=headers) as answer:
            return answer.status, await answer.read()

    async def settled(self) -> None:
        """What has been replaced is gone."""
        for task in self.gateway._ending:
            await task
