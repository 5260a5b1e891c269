#!/usr/bin/env bash
# Installs Livetape as docs/install.md says, under a systemd that is the first process of a container, and breaks it: ready, a stop, a
# kill, a process that hangs, the roles by themselves, a recorder that is away.
#
#   tests/compose/systemd.sh PROGRAM      the program, built for Debian 12
#
# Needs an engine and the image debian:bookworm-slim (or its stand-in); takes about two minutes. Exit code: 0 all is right.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "$1")
name=livetape-systemd-$$
work=$(mktemp -d)
trap 'docker rm -f "$name" >/dev/null 2>&1; rm -rf "$work"' EXIT

say() { printf 'systemd: %s\n' "$*"; }
fail() {
    say "$*"
    docker exec "$name" journalctl --no-pager -n 40 >&2 || true
    exit 1
}
inside() { docker exec -i "$name" "$@"; }
# until WHAT SECONDS COMMAND...: waits until it succeeds.
until_so() {
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || fail "not in time: $what"
        sleep 0.5
    done
    say "$what"
}
property() { inside systemctl show -p "$2" --value "$1"; }

cat >"$work/Dockerfile" <<'END'
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends systemd systemd-sysv dbus libasound2 ca-certificates curl jq \
    && rm -rf /var/lib/apt/lists/* /etc/systemd/system/multi-user.target.wants/*
ENV container=docker
STOPSIGNAL SIGRTMIN+3
CMD ["/lib/systemd/systemd"]
END
DOCKER_BUILDKIT=0 docker build -q -t livetape-systemd "$work" >/dev/null
# It makes name spaces for its services; nothing else of the machine is its business.
docker run -d --name "$name" --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --tmpfs /run --tmpfs /run/lock --tmpfs /tmp -v /sys/fs/cgroup:/sys/fs/cgroup:rw livetape-systemd >/dev/null
until_so 'systemd runs' 60 inside systemctl is-system-running

# The commands of the docs, in a folder that looks like the project's.
inside mkdir -p /root/project/target/release /root/project/docs
docker cp -q "$program" "$name:/root/project/target/release/livetape" 2>/dev/null || docker cp "$program" "$name:/root/project/target/release/livetape"
docker cp deploy "$name:/root/project/deploy"
docker cp docs/livetape.toml "$name:/root/project/docs/livetape.toml"
block() { awk -v n="$1" '/^```sh$/ { i++; inside = (i == n); next } /^```$/ { inside = 0 } inside' docs/install.md; }
{
    echo 'set -eux; cd /root/project; sudo() { "$@"; }; cargo() { :; }'
    block 1
} | inside bash >"$work/said" 2>&1 || { cat "$work/said" >&2; fail 'the commands of docs/install.md failed'; }
say 'the commands of docs/install.md'

recording() { inside curl -sf 'http://127.0.0.1:8080/recordings?stream=live' | inside jq -er '.recordings[-1].id'; }
frames() { inside curl -sf 'http://127.0.0.1:8080/recordings?stream=live' | inside jq -er '.recordings[-1].frames'; }
grows() { local before; before=$(frames) && sleep 2 && [ "$(frames)" -gt "$before" ]; }

[ "$(property livetape ActiveState)" = active ] || fail 'it is not active'
[ "$(property livetape NotifyAccess)" = main ] || fail 'nobody is listened to'
until_so 'it records' 30 grows
first=$(recording)

main=$(property livetape MainPID)
inside systemctl restart livetape
[ "$(property livetape MainPID)" != "$main" ] || fail 'a restart changed nothing'
until_so 'a restart goes on with the same recording' 30 grows
[ "$(recording)" = "$first" ] || fail 'another recording after a restart'

main=$(property livetape MainPID)
inside systemctl kill --kill-who=main -s KILL livetape
changed() { [ "$(property livetape MainPID)" != "$main" ] && [ "$(property livetape ActiveState)" = active ]; }
until_so 'it is started again after a kill' 30 changed
until_so 'and goes on with the same recording' 30 grows
[ "$(recording)" = "$first" ] || fail 'another recording after a kill'

# A minute is what the unit says; here 5 s.
inside mkdir -p /etc/systemd/system/livetape.service.d
printf '[Service]\nWatchdogSec=5s\n' | inside tee /etc/systemd/system/livetape.service.d/soon.conf >/dev/null
inside systemctl daemon-reload
inside systemctl restart livetape
until_so 'it says that it lives' 30 grows
main=$(property livetape MainPID)
sleep 8
[ "$(property livetape MainPID)" = "$main" ] || fail 'the watchdog ended a process that lives'
inside systemctl kill --kill-who=main -s STOP livetape
until_so 'a process that hangs is ended by the watchdog and started again' 60 changed
inside journalctl -u livetape --no-pager | grep -q 'Watchdog timeout' || fail 'it was not the watchdog'
until_so 'and goes on with the same recording' 30 grows
[ "$(recording)" = "$first" ] || fail 'another recording after the watchdog'

inside systemctl stop livetape
[ "$(property livetape Result)" = success ] || fail "a stop: $(property livetape Result)"

# Another program has its address for longer than systemd's own limit of five starts lasts.
docker exec -d "$name" timeout 20 livetape run --data-dir /tmp/other --source none \
    --http-addr 127.0.0.1:8080 --grpc-addr 127.0.0.1:7171 --source-addr 127.0.0.1:8001
taken() { inside curl -sf http://127.0.0.1:8080/healthz; }
until_so 'another program has its address' 15 taken
inside systemctl start --no-block livetape
often() { [ "$(property livetape NRestarts)" -ge 6 ]; }
until_so 'it is started again and again' 60 often
active() { [ "$(property livetape ActiveState)" = active ]; }
until_so 'and runs once the address is free' 60 active
until_so 'with the same recording' 30 grows
[ "$(recording)" = "$first" ] || fail 'another recording after it could not start'
inside systemctl stop livetape
inside systemctl disable -q livetape
inside rm -r /etc/systemd/system/livetape.service.d
inside systemctl daemon-reload
say 'a stop is a success'

# The roles by themselves, in the same data folder.
{
    echo 'set -eux; sudo() { "$@"; }'
    block 2
} | inside bash >"$work/said" 2>&1 || { cat "$work/said" >&2; fail 'the commands for the roles failed'; }
until_so 'the roles record' 60 grows
[ "$(recording)" = "$first" ] || fail 'another recording with the roles'
# What is captured while the recorder is away.
inside systemctl stop livetape@recorder
spooled() { [ -n "$(inside find /var/lib/livetape/spool -name '*.spool' -size +100k)" ]; }
until_so 'a capture keeps in its spool what the recorder cannot take' 60 spooled
before=$(frames)
inside systemctl start livetape@recorder
until_so 'and sends it when the recorder is back' 60 grows
[ "$(frames)" -gt $((before + 48000)) ] || fail 'it is not in the recording'
for unit in livetape@capture livetape@gateway livetape@recorder; do
    inside systemctl stop $unit
    [ "$(property $unit Result)" = success ] || fail "$unit: $(property $unit Result)"
done
inside runuser -u livetape -- livetape verify --data-dir /var/lib/livetape/data >"$work/said" 2>&1 || { cat "$work/said" >&2; fail 'verify'; }
say 'every byte is right'
