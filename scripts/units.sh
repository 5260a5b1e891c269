#!/usr/bin/env bash
# Looks at the unit files as systemd would, without starting anything; then at one that is wrong on purpose, so that the
# check is known to see something.
#
# Needs what scripts/setup.sh check installs. Exit code: 0 all is right.
set -euo pipefail
cd "$(dirname "$0")/.."

# Most exposed that they may be, of 100, as systemd counts it.
MOST=20
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# The program need not be installed.
for unit in deploy/systemd/*.service; do
    sed 's|^ExecStart=/usr/bin/livetape|ExecStart=/bin/true|' "$unit" >"$out/$(basename "$unit")"
done

verify() { SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no --recursive-errors=no "$@" >"$out/said" 2>&1 && [ ! -s "$out/said" ]; }

cd "$out"
verify ./livetape.service ./livetape@recorder.service || { cat said >&2; exit 1; }
systemd-analyze security --offline=true --threshold=$MOST ./livetape.service ./livetape@.service >said 2>&1 || { cat said >&2; exit 1; }
sed 's/^ProtectSystem=/ProtectSystems=/' livetape.service >wrong.service
! verify ./wrong.service || { echo 'units: a word that does not exist was not seen' >&2; exit 1; }
echo 'units: systemd takes them'
