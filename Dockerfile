# A small image for `gateway serve`: docker build -t gateway .
# It runs as an ordinary user and needs no writable file system (docker run --read-only works).
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY gateway ./gateway
RUN python -m venv /opt/gateway
RUN /opt/gateway/bin/pip install --no-cache-dir --compile ".[workers]"

FROM python:3.13-slim
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
