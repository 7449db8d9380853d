"""The gateway's own routes: health, metrics, and actions of an administrator."""

from collections.abc import Awaitable, Callable
from typing import Literal

from pydantic import SecretStr

from gateway.config.settings import OpsSettings
from gateway.executors import METRICS
from gateway.messages import BufferedResponse
from gateway.ops.admin import Actions, Admin, AdminRequest
from gateway.ops.bearer import BearerToken
from gateway.ops.health import Readiness, health
from gateway.ops.metrics import CONTENT_TYPE, Metrics

OpsRoute = Callable[[str], Awaitable[BufferedResponse]]  # takes the header Authorization
AdminRoute = Callable[[AdminRequest], Awaitable[BufferedResponse]]


def ops_routes(settings: OpsSettings, readiness: Readiness, metrics: Metrics) -> dict[str, OpsRoute]:
    """What they tell may be for those only who have the token. /health tells nothing."""
    prefix, token = settings.path_prefix, _token(settings, "token")

    async def alive(authorization: str) -> BufferedResponse:
        return await health()

    async def ready(authorization: str) -> BufferedResponse:
        if token is not None:
            token.check(authorization)
        return await readiness.ready()

    async def show(authorization: str) -> BufferedResponse:
        if token is not None:
            token.check(authorization)
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        metrics.settle()
        return BufferedResponse(200, await METRICS.run(metrics.text), headers)

    return {f"{prefix}/health": alive, f"{prefix}/ready": ready, f"{prefix}/metrics": show}


def admin_routes(settings: OpsSettings, actions: Actions) -> dict[str, AdminRoute]:
    """None without a token."""
    token = _token(settings, "admin_token")
    if token is None:
        return {}
    admin = Admin(token, actions)
    routes = {"refresh": admin.refresh, "reload": admin.reload, "purge": admin.purge}
    return {f"{settings.path_prefix}/-/{name}": route for name, route in routes.items()}


def _token(settings: OpsSettings, name: Literal["token", "admin_token"]) -> BearerToken | None:
    secret: SecretStr | None = getattr(settings, name)
    return BearerToken(secret.get_secret_value(), f"ops.{name}") if secret else None
