#!/usr/bin/env bash
# Looks at the compose files without an engine: each way to put them together is held against the schema of docker-compose
# (or docker compose); then files that are wrong on purpose have to be refused. The settings that they pass on have to be
# explained in .env.example, and those that .env.example explains have to be used. Whether the program knows them is a test
# (tests/tests/operating/deploy.rs).
#
# Needs what scripts/setup.sh check installs. Exit code: 0 all is right.
set -euo pipefail
cd "$(dirname "$0")/.."

if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# A developer's own .env must not change what is checked.
config() { "${compose[@]}" --project-directory . --env-file .env.example "$@" config >"$out/config.yml" 2>"$out/said"; }

config -f docker-compose.yml || { cat "$out/said" >&2; exit 1; }
overrides=()
for override in deploy/compose/*.yml; do
    config -f docker-compose.yml -f "$override" || { cat "$out/said" >&2; exit 1; }
    overrides+=(-f "$override")
done
config -f docker-compose.yml -f deploy/compose/monitoring.yml
target/tools/kubernetes/bin/python scripts/monitoring.py "$out/config.yml"
config -f docker-compose.yml "${overrides[@]}" || { cat "$out/said" >&2; exit 1; }

# wrong WHAT SED: the file with one thing wrong must not pass.
wrong() {
    sed "$2" docker-compose.yml >"$out/wrong.yml"
    ! cmp -s docker-compose.yml "$out/wrong.yml" || { echo "compose: '$1' changed nothing: $2" >&2; exit 1; }
    ! config -f "$out/wrong.yml" || { echo "compose: $1 was not seen" >&2; exit 1; }
}
wrong 'a word that does not exist' 's/^    command: \["recorder"\]/    comand: ["recorder"]/'
wrong 'a volume that nobody declares' 's/- data:\/data$/- date:\/data/'
wrong 'a service that does not exist' 's/recorder: {condition: service_healthy}/recordr: {condition: service_healthy}/'
wrong 'a list that is a word' 's/^  cap_drop: \[ALL\]/  cap_drop: ALL/'

# With a default, or passed on as they are.
used() {
    {
        grep -ohE '\$\{LIVETAPE_[A-Z_]+' docker-compose.yml deploy/compose/*.yml | cut -c 3-
        grep -ohE '^ +LIVETAPE_[A-Z_]+:$' docker-compose.yml deploy/compose/*.yml | tr -d ' :'
    } | sort -u
}
explained() { grep -oE '^(# )?LIVETAPE_[A-Z_]+=' .env.example | tr -d '# =' | sort -u; }
diff <(used) <(explained) || { echo 'compose: .env.example and the compose files know different settings (< used, > explained)' >&2; exit 1; }
echo "compose: valid, alone and with each of $(find deploy/compose -name '*.yml' -printf '%f ' | sort); what is wrong on purpose is refused"
