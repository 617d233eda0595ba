# The service as it is deployed: one binary on a small Debian. `docker build -t app .`

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# Queries were checked when .sqlx was written; no database is asked here.
ENV SQLX_OFFLINE=true CARGO_INCREMENTAL=0
COPY . .
# The caches outlive the build, so that a changed line does not compile every dependency again. The binary must leave them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --release --package server --no-default-features \
    && install -D target/release/server /out/server

FROM debian:bookworm-slim
# For outgoing TLS: whom to trust.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/server /usr/local/bin/server
# Nobody in particular, and owner of nothing.
USER 10001:10001
ENV APP_ENVIRONMENT=production
# Probes come from outside of the container; publish 8080 only.
ENV APP__HTTP__OPERATIONS_ADDRESS=0.0.0.0:8081
# The API, and probes and metrics for operators.
EXPOSE 8080 8081
# SIGTERM is what drains the service; the orchestrator asks /livez and /readyz.
STOPSIGNAL SIGTERM
CMD ["server", "serve"]
