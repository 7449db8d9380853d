"""What verifies attestations, built from the settings. The libraries are imported only if it is asked for."""

from typing import TYPE_CHECKING

from gateway.config.publish.settings import PublishSettings
from gateway.errors import ConfigError, Problem

if TYPE_CHECKING:
    from gateway.publish.attestations.verifier import Verifier

_MESSAGE = "attestations need a library: pip install 's3-package-gateway[{}attestations]'"


def build_verifier(settings: PublishSettings, asked_for: str, extras: str = "") -> "Verifier":
    """Raises ConfigError about the setting `asked_for`, if attestations can't be verified. `extras` are others that it
    needs, each followed by a comma."""
    try:
        from gateway.publish.attestations.verifier import Verifier
    except ImportError as missing:
        raise ConfigError([Problem(asked_for, "settings", _MESSAGE.format(extras))]) from missing
    try:
        return Verifier(settings.sigstore_root)
    except Exception as error:  # whatever the library makes of such a file
        message = f"is no trusted root of Sigstore ({type(error).__name__}), as in trusted_root.json"
        setting = "publish.sigstore_root" if settings.sigstore_root is not None else asked_for
        raise ConfigError([Problem(setting, "settings", message)]) from error
