#!/bin/sh
# Checks what is needed here and installs what is missing.
#
#   scripts/setup.sh run      to build and run: Rust and a C linker
#   scripts/setup.sh check    to check the code: rustfmt and clippy as well
#   scripts/setup.sh test     to test: real players, a browser and Redis as well
#
# Debian packages are installed through apt-get, with sudo when not root, and only when something is missing.
# Exit code: 0 everything is there, 2 wrong use, 3 something is missing and cannot be installed.
set -eu

RUST_NEEDED=1.92

have() { command -v "$1" >/dev/null 2>&1; }

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 3
}

# The packages that are still to be installed, separated by spaces.
missing=

# need PACKAGE COMMAND...: the package is missing when the command does not succeed.
need() {
    package=$1
    shift
    case " $missing " in
    *" $package "*) return 0 ;;
    esac
    "$@" >/dev/null 2>&1 || missing="${missing:+$missing }$package"
}

check_rust() {
    { have rustc && have cargo; } || fail "Rust $RUST_NEEDED or newer is needed and there is none." \
        "Get it from https://rustup.rs, open a new shell, and try again."
    # rustup answers for a toolchain that is not installed; ask rustc itself.
    version=$(rustc --version 2>/dev/null) || fail "rustc does not run. With rustup: rustup default stable"
    number=$(printf '%s\n' "$version" | cut -d ' ' -f 2)
    major=${number%%.*}
    rest=${number#*.}
    minor=${rest%%.*}
    case $major$minor in
    '' | *[!0-9]*) fail "The version of Rust cannot be read from '$version'." ;;
    esac
    if [ "$major" -lt "${RUST_NEEDED%%.*}" ] ||
        { [ "$major" -eq "${RUST_NEEDED%%.*}" ] && [ "$minor" -lt "${RUST_NEEDED#*.}" ]; }; then
        fail "Rust $number is too old: $RUST_NEEDED or newer is needed. With rustup: rustup update stable"
    fi
    printf 'setup: Rust %s\n' "$number"
}

check_rust_tools() {
    cargo fmt --version >/dev/null 2>&1 || fail "rustfmt is missing. With rustup: rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || fail "clippy is missing. With rustup: rustup component add clippy"
}

need_players() {
    need ffmpeg have ffmpeg
    need ffmpeg have ffprobe
    need chromium have chromium
    need chromium-driver have chromedriver
    need curl have curl
    need redis-server have redis-server
    need redis-tools have redis-cli
    need gstreamer1.0-tools have gst-launch-1.0
    need gstreamer1.0-plugins-base gst-inspect-1.0 --exists audioconvert
    need gstreamer1.0-plugins-good gst-inspect-1.0 --exists souphttpsrc
    need gstreamer1.0-plugins-good gst-inspect-1.0 --exists wavenc
}

install_missing() {
    [ -n "$missing" ] || return 0
    have apt-get || fail "Missing: $missing" "These are names of Debian packages, and here is no apt-get: install them by hand."
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif have sudo; then
        as_root=sudo
    else
        fail "Missing: $missing" "Installing needs root or sudo. As root: apt-get install --no-install-recommends $missing"
    fi
    printf 'setup: installing %s\n' "$missing"
    log=$(mktemp)
    # Package names contain no spaces, and there may be no sudo: both are meant to be split or to vanish.
    # shellcheck disable=SC2086
    if ! { $as_root apt-get update &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install: $missing" "Is there a network, and is this Debian 12 or newer?"
    fi
    rm -f "$log"
}

what=${1-}
case $what in
run | check | test) ;;
*)
    printf 'usage: %s run|check|test\n' "$0" >&2
    exit 2
    ;;
esac

check_rust
need gcc have cc
need libc6-dev test -e /usr/include/stdlib.h
case $what in
check) check_rust_tools ;;
test) need_players ;;
esac
install_missing

# What was missing must be there now: a package may exist under the name and bring something else.
missing=
need gcc have cc
[ "$what" != test ] || need_players
[ -z "$missing" ] || fail "Still missing after the installation: $missing"
printf 'setup: everything for "%s" is there\n' "$what"
