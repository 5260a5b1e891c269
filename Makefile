# `make` alone prints what can be typed. Everything else that happens is in scripts/ and in Cargo.

CARGO ?= cargo
# The lock file decides which crates are built.
LOCKED := --locked
# All of it, with each host of sound cards there is: looked at in one go, as cargo would check every dependency anew for other features.
ALL := --workspace --features livetape/jack,livetape/pulseaudio
# Further arguments of `livetape run`: make run ARGS="--source counting"
ARGS ?=
# How many times `make torture` kills the recorder, and how many faults of all kinds it makes in the services.
KILLS ?= 50
FAULTS ?= 50
# Seconds for which it lets Redis be away.
AWAY ?= 60
# Seconds for which restless players seek; more than 60, so that the gateway must find out by itself who is gone.
RESTLESS ?= 90
CASES ?= 150
# Seconds for which a page that plays is watched, whether it grows.
TAB ?= 600
# Silent connections that it opens.
IDLE ?= 10000
# One of the players of `make clients`, and one part (wav, compressed, titles, lengths): make clients CLIENT='VLC lengths'
CLIENT ?=
# How long `make fuzz` runs each target.
SECONDS ?= 60
# Most tests wait for audio to pass in real time: more of them at once than there are cores.
TEST_THREADS ?= 4
# The newer `docker compose`, or the older docker-compose.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.DEFAULT_GOAL := help
.PHONY: help run test clients check torture fuzz bench compose up down clean

help:
	@echo 'make run      build and start: records the time signal, http://127.0.0.1:8080/ (ARGS= further arguments)'
	@echo 'make test     run all tests, with real processes, players and a browser (installs what they need)'
	@echo 'make clients  Firefox, Chromium, VLC, mpv, GStreamer, ffmpeg and curl on a recording that grows; writes'
	@echo '              docs/players.md; then the page in Firefox, PulseAudio, PipeWire and JACK (CLIENT= only one of the'
	@echo '              players)'
	@echo 'make check    formatting, lints, documentation, licences, the gRPC contract, scripts'
	@echo 'make torture  kill the recorder $(KILLS) times while it records, break the services $(FAULTS) times, and look at'
	@echo '              every byte; send $(CASES) random requests to each operation of HTTP (KILLS= FAULTS= CASES=);'
	@echo '              compare all encoders at all rates, bitrates and signals with those that run on'
	@echo 'make fuzz     feed garbage to whatever reads what comes from outside, a minute for each target (SECONDS=)'
	@echo 'make bench    measure on this machine what listeners, ranges and sources cost, against nginx, Icecast and'
	@echo '              bare loops (25 minutes)'
	@echo 'make compose  build the image, run docker-compose.yml and break it (installs and starts an engine where there is none)'
	@echo 'make up       start the services with docker compose'
	@echo 'make down     stop them'
	@echo 'make clean    remove what was built'

run:
	@scripts/setup.sh run
	@echo 'Building; the first time takes a few minutes.'
	@$(CARGO) build $(LOCKED) --profile quick -p livetape
	@exec $(CARGO) run $(LOCKED) --quiet --profile quick -p livetape -- run $(ARGS)

test:
	@scripts/setup.sh test
	@RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test $(LOCKED) --workspace --no-fail-fast

clients:
	@scripts/setup.sh clients
	@$(CARGO) test $(LOCKED) --workspace --test clients $(CLIENT)
	@[ -n "$(CLIENT)" ] || $(CARGO) test $(LOCKED) --workspace --test firefox --test sound_servers -- --nocapture

check:
	@for target in $$(sed -n "s/^\([a-z]*\):.*/\1/p; s/.*echo 'make \([a-z]*\) .*/\1/p" Makefile); do \
	    sed -n 's/^\.PHONY: \(.*\)/ \1 /p' Makefile | grep -q " $$target " || \
	    { echo "check: make $$target does nothing where there is a file of that name: put it into .PHONY"; exit 1; }; \
	done
	@scripts/setup.sh check
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy $(LOCKED) $(ALL) --all-targets -- -D warnings
	$(CARGO) clippy $(LOCKED) $(ALL) --test clients --test firefox --test sound_servers -- -D warnings
	$(CARGO) clippy $(LOCKED) $(ALL) --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(LOCKED) $(ALL) --no-deps
	python3 -m doctest scripts/deny.py
	scripts/deny.py
	scripts/proto.sh check
	scripts/k8s.sh
	scripts/units.sh
	scripts/compose.sh
	@if command -v shellcheck >/dev/null; then \
	    echo shellcheck scripts/*.sh tests/compose/*.sh deploy/k8s/*.sh .ci/run; shellcheck scripts/*.sh tests/compose/*.sh deploy/k8s/*.sh .ci/run; \
	else echo 'check: no shellcheck here, scripts were not looked at'; fi

torture:
	@scripts/setup.sh test
	LIVETAPE_CASES=$(CASES) LIVETAPE_KILLS=$(KILLS) LIVETAPE_RESTLESS=$(RESTLESS) LIVETAPE_IDLE=$(IDLE) \
	    RUST_TEST_THREADS=$(TEST_THREADS) \
	    $(CARGO) test $(LOCKED) --workspace --test recordings --test listening --test api --test access -- kill:: restless:: openapi:: attacks::
	LIVETAPE_FAULTS=$(FAULTS) LIVETAPE_AWAY=$(AWAY) RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test $(LOCKED) --workspace --test services
	LIVETAPE_BLOCKS=all $(CARGO) test $(LOCKED) --profile quick -p livetape-codec --lib proof -- --nocapture
	LIVETAPE_TAB=$(TAB) $(CARGO) test $(LOCKED) --workspace --test page a_page_that_plays_does_not_grow

fuzz:
	@scripts/setup.sh test
	@scripts/fuzz.sh $(SECONDS)

bench:
	@scripts/setup.sh bench
	@ulimit -n $$(ulimit -H -n) && \
	    $(CARGO) bench $(LOCKED) --workspace --bench length --bench ranges --bench listeners --bench encoders --bench ingest --bench capture

compose:
	@scripts/setup.sh compose
	tests/compose/run.sh

up:
	$(COMPOSE) up --build -d
	@$(COMPOSE) ps
	@echo 'Listen: http://127.0.0.1:8080/ (or what .env says)'

down:
	$(COMPOSE) down

clean:
	$(CARGO) clean
