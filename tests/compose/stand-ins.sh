#!/usr/bin/env bash
# Makes images with the names that the Dockerfile and the compose file build upon, from Debian's packages and this machine's
# Rust toolchain: for machines that cannot pull from a registry of images. What is there already is left alone.
#
#   tests/compose/stand-ins.sh
#
# Needs root, docker, debootstrap, and a rustup toolchain.
set -euo pipefail

SUITE=bookworm
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

there() { docker image inspect "$1" >/dev/null 2>&1; }

say() { printf 'stand-ins: %s\n' "$*"; }

debian() {
    if there debian:$SUITE-slim; then return; fi
    say "debian:$SUITE-slim, by debootstrap"
    debootstrap --variant=minbase --include=ca-certificates $SUITE "$work/debian" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; exit 1; }
    # The same certificates as outside, so that downloads inside work where they work here.
    cp /etc/ssl/certs/ca-certificates.crt "$work/debian/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$work"/debian/var/cache/apt/archives/*.deb "$work"/debian/var/lib/apt/lists/*
    # What an update of the package ca-certificates would undo.
    cp -r /usr/local/share/ca-certificates/. "$work/debian/usr/local/share/ca-certificates/" 2>/dev/null || true
    printf 'deb http://deb.debian.org/debian %s main\ndeb http://deb.debian.org/debian-security %s-security main\n' \
        $SUITE $SUITE >"$work/debian/etc/apt/sources.list"
    tar -C "$work/debian" -c . | docker import - debian:$SUITE-slim >/dev/null
    rm -rf --one-file-system "$work/debian"
}

rust() {
    if there rust:1-$SUITE; then return; fi
    say "rust:1-$SUITE, with the toolchain $(rustc --version)"
    mkdir -p "$work/rust/toolchain"
    cp -a "$(rustc --print sysroot)/." "$work/rust/toolchain/"
    rm -rf "$work/rust/toolchain/share/doc"
    cat >"$work/rust/Dockerfile" <<END
FROM debian:$SUITE-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ libc6-dev make pkg-config git ca-certificates
COPY toolchain /usr/local/rust
ENV PATH=/usr/local/rust/bin:\$PATH CARGO_HOME=/usr/local/cargo
END
    docker build -q -t rust:1-$SUITE "$work/rust" >/dev/null
    rm -rf "$work/rust"
}

redis() {
    if there redis:7-$SUITE; then return; fi
    say "redis:7-$SUITE, from Debian's package"
    mkdir -p "$work/redis"
    cat >"$work/redis/Dockerfile" <<END
FROM debian:$SUITE-slim
RUN groupadd -r -g 999 redis && useradd -r -g redis -u 999 redis \
    && apt-get update && apt-get install -y --no-install-recommends redis-server redis-tools
RUN mkdir -p /data && chown redis:redis /data
WORKDIR /data
CMD ["redis-server", "--protected-mode", "no"]
END
    docker build -q -t redis:7-$SUITE "$work/redis" >/dev/null
}

debian
rust
redis
say 'all there'
