"""The settings of a secret of AWS Secrets Manager that knows the users."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from gateway.config.section import Section
from gateway.config.types import EndpointUrl, NonNegativeSeconds, NotEmpty, Refused, Seconds


class SecretsManagerSettings(Section):
    """A secret of AWS Secrets Manager with pypicloud's JSON, which knows the users."""

    secret_id: Annotated[str, NotEmpty] = Field(description="Name or ARN of the secret")
    region_name: str | None = Field(None, description="Its region; unset: from AWS's configuration")
    profile_name: str | None = Field(None, description="Profile of AWS's shared configuration to use")
    aws_access_key_id: str | None = Field(None, description="Static credentials; unset: botocore's whole chain")
    aws_secret_access_key: SecretStr | None = Field(None, description="Secret of aws_access_key_id")
    aws_session_token: SecretStr | None = Field(None, description="Session token, for temporary static credentials")
    endpoint_url: EndpointUrl | None = Field(None, description="Address of another service than AWS's")
    refresh: Seconds = Field(30.0, le=60, description="Seconds after which the secret is read again")
    keep: NonNegativeSeconds = Field(
        600.0, le=86400, description="Seconds that its users are known for after it could last be read"
    )
    timeout: Seconds = Field(5.0, le=5, description="Seconds that reading it may take")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.aws_access_key_id) != bool(self.aws_secret_access_key):
            raise Refused("needs aws_access_key_id and aws_secret_access_key, or neither")
        if self.keep < self.refresh:
            raise Refused("needs keep to be at least refresh")
        return self
