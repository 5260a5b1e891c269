#!/usr/bin/env bash
# Builds the image, runs the compose file and breaks it, and so with the units of systemd: what `make compose` does. Where no Docker engine answers, one of its
# own is started, with all its data below target/, and stopped at the end.
#
# LIVETAPE_IMAGE=NAME tries an image that is there already, and builds none; LIVETAPE_BUILD=quick builds it sooner.
#
# Needs root unless an engine runs, and what `scripts/setup.sh test` installs of Chromium. Exit code: that of the test that failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'compose: %s\n' "$*"; }

engine() {
    if docker info >/dev/null 2>&1; then return; fi
    command -v dockerd >/dev/null || { say 'no Docker engine answers and there is no dockerd: scripts/setup.sh compose'; exit 3; }
    folder=$PWD/target/compose
    mkdir -p "$folder"
    # A socket's path has to be short.
    sockets=$(mktemp -d)
    export DOCKER_HOST=unix://$sockets/docker.sock
    say "starting an engine in $folder"
    dockerd --data-root "$folder/data" --exec-root "$sockets/exec" --pidfile "$sockets/pid" --host "$DOCKER_HOST" \
        >"$folder/dockerd.log" 2>&1 &
    trap 'kill "$(cat "$sockets/pid")" 2>/dev/null; wait; rm -rf "$sockets"' EXIT
    for _ in $(seq 60); do
        if docker info >/dev/null 2>&1; then return; fi
        sleep 1
    done
    tail -n 20 "$folder/dockerd.log" >&2
    say 'the engine did not start'
    exit 3
}

# The images that are built upon: the real ones where a registry is reached, else stand-ins.
bases() {
    for image in debian:bookworm-slim rust:1-bookworm redis:7-bookworm; do
        docker image inspect "$image" >/dev/null 2>&1 && continue
        timeout 120 docker pull -q "$image" >/dev/null 2>&1 && continue
        say "$image cannot be pulled: stand-ins are made"
        tests/compose/stand-ins.sh
        return
    done
}

engine
bases
if [ "${LIVETAPE_BUILD-release}" = release ]; then say 'building the image takes a while (LIVETAPE_BUILD=quick: a third of it)'; fi
cargo test --locked --workspace --test compose -- --ignored --nocapture --test-threads 1
# The program from the image, under systemd.
container=$(docker create "${LIVETAPE_IMAGE:-livetape:local}")
docker cp "$container:/usr/local/bin/livetape" target/compose-livetape
docker rm "$container" >/dev/null
tests/compose/systemd.sh target/compose-livetape
