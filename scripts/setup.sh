#!/bin/sh
# Checks what is needed here and installs what is missing.
#
#   scripts/setup.sh run      to build and run: Rust, a C linker, the headers of the sound library
#   scripts/setup.sh check    to check the code: rustfmt, clippy, buf, kubectl and the schemas of Kubernetes as well
#   scripts/setup.sh compose  to run the services in containers, as make compose does
#   scripts/setup.sh bench    to measure: Icecast and nginx, to compare with, as well; neither is started
#   scripts/setup.sh test     to test: real players, a browser, Redis, Icecast, kubectl, buf and a Python with gRPC and one with schemathesis as well
#
# Debian packages are installed through apt-get, with sudo when not root, and only when something is missing. What Debian
# has not comes from npm and PyPI, in versions that are written down, and lives in target/tools.
# Exit code: 0 everything is there, 2 wrong use, 3 something is missing and cannot be installed.
set -eu
cd "$(dirname "$0")/.."

RUST_NEEDED=1.92
# What is installed there besides Debian packages.
TOOLS=target/tools

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

need_to_build() {
    need gcc have cc
    need libc6-dev test -e /usr/include/stdlib.h
    need cmake have cmake
    need pkg-config have pkg-config
    need libasound2-dev pkg-config --exists alsa
}

# A Docker engine and what makes images without a registry.
need_engine() {
    need docker.io have docker
    need docker.io have dockerd
    have docker-compose || docker compose version >/dev/null 2>&1 || need docker-compose have docker-compose
    need debootstrap have debootstrap
    need iptables have iptables
    # What listens on the published port.
    need chromium have chromium
    need chromium-driver have chromedriver
}

need_players() {
    need ffmpeg have ffmpeg
    need ffmpeg have ffprobe
    need chromium have chromium
    need chromium-driver have chromedriver
    need curl have curl
    need openssl have openssl
    need rsync have rsync
    need icecast2 have icecast2
    # What radios send with, and somebody who speaks.
    need ezstream have ezstream
    need liquidsoap have liquidsoap
    need darkice have darkice
    need espeak-ng have espeak-ng
    need redis-server have redis-server
    need redis-tools have redis-cli
    need libfaketime sh -c 'ls /usr/lib/*/faketime/libfaketimeMT.so.1'
    need prometheus have prometheus
    need prometheus have promtool
    need gstreamer1.0-tools have gst-launch-1.0
    need gstreamer1.0-plugins-base gst-inspect-1.0 --exists audioconvert
    need gstreamer1.0-plugins-good gst-inspect-1.0 --exists souphttpsrc
    need gstreamer1.0-plugins-good gst-inspect-1.0 --exists wavenc
}

# buf and axe-core are there in the versions that are written down, and buf runs.
buf_is_there() {
    cmp -s scripts/tools/package-lock.json $TOOLS/package-lock.json && $TOOLS/bin/buf --version >/dev/null 2>&1 &&
        [ -e $TOOLS/node_modules/axe-core/axe.min.js ]
}

need_buf() {
    buf_is_there || need npm have npm
}

# What a Python environment of this name has to have, in which versions.
requirements() {
    case $1 in
    python) echo examples/python/requirements.txt ;;
    openapi) echo scripts/tools/openapi.txt ;;
    ffmpeg) echo tests/clients/requirements.txt ;;
    kubernetes) echo scripts/tools/kubernetes.txt ;;
    esac
}

env_is_there() {
    cmp -s "$(requirements "$1")" "$TOOLS/$1/requirements.txt"
}

# Debian's Python without python3-venv has venv, but nothing to put pip into it.
need_env() {
    env_is_there "$1" || need python3-venv python3 -c 'import ensurepip, venv'
}

# quietly WHAT COMMAND...: says how the command failed, if it did.
quietly() {
    tool=$1
    shift
    printf 'setup: installing %s\n' "$tool"
    log=$(mktemp)
    "$@" </dev/null >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail "$tool could not be installed with: $*" "Is there a network?"
    }
    rm -f "$log"
}

install_buf() {
    ! buf_is_there || return 0
    rm -rf $TOOLS/bin/buf $TOOLS/node_modules
    mkdir -p $TOOLS/bin
    cp scripts/tools/package.json scripts/tools/package-lock.json $TOOLS/
    quietly 'buf and axe-core' npm ci --prefix $TOOLS --ignore-scripts --no-audit --no-fund
    # One of the packages, the one for this processor, is there now.
    (cd $TOOLS/bin && ln -s ../node_modules/@bufbuild/*/bin/buf buf)
    buf_is_there || fail "npm has not brought a buf that runs here." \
        "Is there a network? npm has one for Linux on x86-64 and arm64."
}

# install_env NAME PROOF...: makes the environment; PROOF, run in it, must succeed.
install_env() {
    ! env_is_there "$1" || return 0
    name=$1
    shift
    rm -rf "${TOOLS:?}/$name"
    quietly "a Python environment for $name" python3 -m venv "$TOOLS/$name"
    quietly "$name" "$TOOLS/$name/bin/python" -m pip install -r "$(requirements "$name")"
    (cd "$TOOLS/$name" && "$@") >/dev/null 2>&1 || fail "$name was installed in $TOOLS/$name and does not run: $*"
    cp "$(requirements "$name")" "$TOOLS/$name/requirements.txt"
}

# The program is named after its version.
link_ffmpeg() {
    ln -sf lib/python3*/site-packages/imageio_ffmpeg/binaries/ffmpeg-* ffmpeg && chmod +x ffmpeg && ./ffmpeg -version
}

need_clients() {
    need_players
    need firefox-esr have firefox-esr
    need vlc-bin have vlc
    # VLC's own parts: HTTP, its remote control and its sound into a file.
    need vlc-plugin-base test -n "$(find /usr/lib -path '*/vlc/plugins/control/liboldrc_plugin.so' 2>/dev/null)"
    need mpv have mpv
    # Debian's own Python: its packages are for no other.
    need python3-gi /usr/bin/python3 -c 'import gi'
    need gir1.2-gstreamer-1.0 /usr/bin/python3 -c 'import gi; gi.require_version("Gst", "1.0")'
    need_env ffmpeg
    # Sound servers, and ALSA's ways to them.
    need pulseaudio have pulseaudio
    need pulseaudio-utils have pactl
    need jackd2 have jackd
    need jackd2 have jack_connect
    need libasound2-plugins sh -c 'ls /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so /usr/lib/*/alsa-lib/libasound_module_pcm_jack.so'
    need pipewire-bin have pipewire
    need pipewire-bin have pw-link
    need pipewire-bin have pw-cli
    need wireplumber have wireplumber
}

# PipeWire's way for ALSA. Debian has it only for machines without PulseAudio, so that it is taken out of its package.
install_pipewire_alsa() {
    plugin=libasound_module_pcm_pipewire.so
    [ ! -e "$TOOLS/pipewire-alsa/$plugin" ] || return 0
    have apt-get || fail "PipeWire's plugin for ALSA is missing: $TOOLS/pipewire-alsa/$plugin" "Here is no apt-get: put it there by hand."
    rm -rf "$TOOLS/pipewire-alsa"
    mkdir -p "$TOOLS/pipewire-alsa"
    # shellcheck disable=SC2016
    quietly "PipeWire's plugin for ALSA" sh -c 'cd "$1" && { apt-get download pipewire-alsa || { $2 apt-get update && apt-get download pipewire-alsa; }; } &&
        dpkg-deb -x pipewire-alsa_*.deb . && ln -s usr/lib/*/alsa-lib/"$3" "$3"' sh "$TOOLS/pipewire-alsa" "$(root)" $plugin
    [ -e "$TOOLS/pipewire-alsa/$plugin" ] || fail "There is no $plugin in Debian's pipewire-alsa."
}

# What makes root of a command, if there is something.
root() {
    if [ "$(id -u)" -ne 0 ] && have sudo; then echo sudo; fi
}

need_peers() {
    need icecast2 have icecast2
    need nginx-light test -x /usr/sbin/nginx
}

# Debian starts what it installs. Who wants to measure wants no server on port 80.
start_nothing() {
    policy=/usr/sbin/policy-rc.d
    [ ! -e $policy ] || return 0
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod +x $policy
    # shellcheck disable=SC2064
    trap "$as_root rm -f $policy" EXIT INT TERM
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
    case $what in bench | test) start_nothing ;; esac
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
run | check | test | clients | compose | bench) ;;
*)
    printf 'usage: %s run|check|test|clients|compose|bench\n' "$0" >&2
    exit 2
    ;;
esac

check_rust
need_to_build
case $what in
check)
    check_rust_tools
    need_buf
    # For the features that are only checked.
    need libjack-jackd2-dev pkg-config --exists jack
    need kubernetes-client have kubectl
    need systemd have systemd-analyze
    have docker-compose || docker compose version >/dev/null 2>&1 || need docker-compose have docker-compose
    need_env kubernetes
    ;;
test)
    need_players
    # Renders the manifests whose containers are started.
    need kubernetes-client have kubectl
    need_buf
    need_env python
    need_env openapi
    ;;
clients) need_clients ;;
compose) need_engine ;;
bench) need_peers ;;
esac
install_missing
case $what in
check)
    install_buf
    install_env kubernetes bin/kubernetes-validate --version
    ;;
test)
    install_buf
    install_env openapi bin/python -c 'import pytest, schemathesis'
    install_env python bin/python -c 'import grpc, grpc_tools.protoc, grpc_status.rpc_status'
    ;;
# A recent ffmpeg besides Debian's: what it makes of an unknown length is not the same in all versions.
clients)
    install_env ffmpeg link_ffmpeg
    install_pipewire_alsa
    ;;
esac

# What was missing must be there now: a package may exist under the name and bring something else.
missing=
need_to_build
[ "$what" != test ] || need_players
[ "$what" != clients ] || need_clients
[ "$what" != compose ] || need_engine
[ "$what" != bench ] || need_peers
[ -z "$missing" ] || fail "Still missing after the installation: $missing"
printf 'setup: everything for "%s" is there\n' "$what"
