# Both programs in one small image; the compose file says which one runs.

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY .ci/setup .ci/setup
RUN .ci/setup build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF -DSPROCKETS_BENCHMARKS=OFF \
 && cmake --build --preset release --target sprockets-sidecar sprockets-replayer \
 && strip build/bin/sprockets-sidecar build/bin/sprockets-replayer

# Stand-ins of the compose file's profiles: a receiver of webhooks, and Prometheus as Debian packages it.
FROM debian:bookworm-slim AS alfred
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*
COPY sidecar/deploy/alfred.py /alfred.py
CMD ["python3", "/alfred.py"]

FROM debian:bookworm-slim AS prometheus
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends prometheus \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o prometheus -g prometheus -m 0750 /var/lib/prometheus
USER prometheus
ENTRYPOINT ["prometheus"]

FROM debian:bookworm-slim AS sprockets
# curl for the health check, redis-tools for a look through the door, sqlite3 for a look into spill files.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      curl libcivetweb1 libhiredis0.14 libpq5 libprometheus-cpp-core1.0 libsodium23 libspdlog1.10 libsqlite3-0 libuv1 redis-tools sqlite3 \
 && rm -rf /var/lib/apt/lists/*
# Fixed numbers: who may use the socket is decided by this group's number, in other containers too (group_add).
RUN groupadd --gid 10001 sprockets \
 && useradd --uid 10001 --gid sprockets --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sprockets \
 # A new volume takes owner and mode from the folder that it is mounted over.
 && install -d -o sprockets -g sprockets -m 0750 /run/sprockets \
 && install -d -o sprockets -g sprockets -m 0700 /var/lib/sprockets
COPY --from=build /src/build/bin/sprockets-sidecar /src/build/bin/sprockets-replayer /usr/local/bin/
COPY schema /usr/share/sprockets/schema
USER sprockets
ENV SPROCKETS_SOCKET=/run/sprockets/sidecar.sock SPROCKETS_SPILL_DIR=/var/lib/sprockets
VOLUME ["/run/sprockets", "/var/lib/sprockets"]
# No HEALTHCHECK here: the replayer has no socket to ask. The sidecar's stands in docker-compose.yml.
CMD ["sprockets-sidecar"]
