# A small image for `gateway serve`: docker build -t gateway:0.1.0 .
# The container runs as an ordinary user, and needs no writable file system but /tmp, for files that are being fetched
# from another index (docker run --read-only --tmpfs /tmp works).
#
# Its content is fixed: the base by its digest (of all platforms: docker buildx imagetools inspect python:…), packages
# by the hashes in deploy/*.lock (make lock).
ARG PYTHON=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${PYTHON} AS build
WORKDIR /src
COPY deploy/build.lock deploy/image.lock ./
RUN python -m venv /opt/gateway
RUN /opt/gateway/bin/pip install --no-cache-dir --target /opt/build --only-binary :all: --require-hashes -r build.lock
RUN /opt/gateway/bin/pip install --no-cache-dir --compile --only-binary :all: --require-hashes -r image.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway ./gateway
RUN PYTHONPATH=/opt/build /opt/gateway/bin/pip install --no-cache-dir --compile --no-index --no-deps \
      --no-build-isolation . && /opt/gateway/bin/pip check

FROM ${PYTHON}
LABEL org.opencontainers.image.title="gateway" \
      org.opencontainers.image.description="A signing reverse proxy in front of a private S3 bucket" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEWAY_SERVER__HOST=0.0.0.0 \
    GATEWAY_STORAGE__DIR=/packages
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["gateway", "health"]
ENTRYPOINT ["gateway"]
CMD ["serve"]
