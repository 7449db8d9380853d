"""The section `publish`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.config.access.settings import Subjects, from_yaml
from gateway.config.publish.trusted_publishers import AnyPublisher, Audience
from gateway.config.section import Section
from gateway.config.types import COMMA_SEPARATED, ReadableFile, Seconds, Size

RuleName = Literal["digest", "sdist-name", "one-sdist", "size-ratio", "layout", "framing", "duplicates", "metadata"]


class PublishSettings(Section):
    """Uploads by twine, uv, poetry, pdm, hatch, flit, and curl."""

    enabled: bool = Field(False, description="Take uploads, from who has the right to write (see access)")
    allow_anonymous: bool = Field(
        False, description="Without access, take uploads from everybody who reaches the gateway"
    )
    trusted: Annotated[list[AnyPublisher], BeforeValidator(from_yaml)] = Field(
        [],
        description="Jobs of CI that publish without a password: [{kind: github, repository: acme/web, workflow: "
        "release.yml, projects: [acme-web]}]; needs access.tokens.keys",
    )
    audience: Audience | None = Field(
        None, description="Of the tokens of such jobs: a word that no other index has, like acme-packages"
    )
    attestations: Literal["ignore", "verify", "require"] = Field(
        "ignore",
        description="Of the build attestations (PEP 740) that come with files of trusted publishers: ignore them; "
        "verify them, and serve them as provenance; or require them of each file",
    )
    sigstore_root: ReadableFile | None = Field(
        None,
        description="Trusted root, as JSON, of the Sigstore instance that attestations are verified with; unset: the "
        "public one's, which the library brings along",
    )
    overwrite: Subjects = Field(
        [], description="Who may replace a file by another one of its name, as in rules; best nobody"
    )
    beacon: bool | None = Field(
        None,
        description="Tell other gateways what is published, and show at once what they tell, by the object "
        ".gateway/epoch; true also for gateways that only read; unset: as enabled, but not with cloudfront",
    )
    status: bool | None = Field(
        None,
        description="Obey the status that gateway status has given to projects, as archived or quarantined, in the "
        "object .gateway/status.json; true also for gateways that only read; unset: as enabled or beacon, but not with "
        "cloudfront",
    )
    write_pages: bool = Field(
        False,
        description="Write the page of each project into the bucket, for who reads that without the gateway; pages "
        "that are there are kept up to date in any case",
    )
    unsafe: bool = Field(
        False,
        description="Take uploads even if the storage ignores If-None-Match, which gateway check --write tells: of "
        "several uploads of one name at once the last one wins",
    )
    max_bytes: Size = Field(4 * 1024**3, ge=1, description="Largest file that is taken")
    timeout: Seconds = Field(900.0, description="Seconds that an upload may take; uv waits for 900")
    skip_rules: Annotated[list[RuleName], COMMA_SEPARATED] = Field(
        [],
        description="Rules that uploads need not keep: digest, sdist-name, one-sdist, size-ratio, layout, framing, "
        "duplicates, metadata",
    )

    def uses_beacon(self, backend: str) -> bool:
        """With this storage backend. CloudFront answers reads from its cache, which would show an old beacon."""
        return self.beacon if self.beacon is not None else self.enabled and backend != "cloudfront"

    def uses_status(self, backend: str) -> bool:
        """As `uses_beacon`: an old status would not withhold what is quarantined."""
        wanted = self.enabled or bool(self.beacon)
        return self.status if self.status is not None else wanted and backend != "cloudfront"
