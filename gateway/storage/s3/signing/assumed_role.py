"""Credentials of a role that is assumed with others (AWS STS, AssumeRole)."""

from dataclasses import dataclass

from gateway.errors import CredentialsError
from gateway.messages import Credentials

_SESSION = "gateway"
_CONNECT_SECONDS, _READ_SECONDS = 5, 10


@dataclass(frozen=True, slots=True)
class Role:
    """`region` is that of the STS that is asked; None leaves it to AWS's configuration."""

    arn: str
    external_id: str | None = None
    region: str | None = None


def assumed(role: Role, base: Credentials) -> Credentials:
    """Blocks. Raises CredentialsError."""
    # Imported here: takes 100 ms.
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"max_attempts": 2})
    external = {"ExternalId": role.external_id} if role.external_id is not None else {}
    try:
        client = botocore.session.get_session().create_client(
            "sts",
            region_name=role.region,
            aws_access_key_id=base.access_key,
            aws_secret_access_key=base.secret_key,
            aws_session_token=base.token,
            config=config,
        )
        given = client.assume_role(RoleArn=role.arn, RoleSessionName=_SESSION, **external)["Credentials"]
    except (BotoCoreError, ClientError, ValueError) as error:
        what = f"the role {role.arn} (storage.assume_role_arn) can't be assumed"
        raise CredentialsError(f"{what}: {type(error).__name__}: {error}") from error
    return Credentials(
        given["AccessKeyId"],
        given["SecretAccessKey"],
        given["SessionToken"],
        provider=f"{role.arn}, assumed with those from {base.provider}",
        expires_at=given["Expiration"].timestamp(),
    )
