# What a newcomer types. Every target sets up what it needs (scripts/setup.sh) and says what it does.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check setup console picture bench crs waf-diff soak fuzz postgres sweep workload reference build release waf-accuracy evidence-bench

# Debian's nginx and haproxy live in sbin.
export PATH := $(PATH):/usr/sbin:/sbin:$(HOME)/.cargo/bin
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## three sample platforms, their supporters and the gate on loopback; ARGS="--http 8081" and the like
	@scripts/setup.sh build
	@scripts/console.sh
	@cargo build --quiet --locked --profile quick -p portcullis
	@exec "$(TARGET)/quick/portcullis" demo $(ARGS)

test: ## everything: formats, lints, licences, docs, units, the suite with real clients, fuzz smoke, a short soak
	@scripts/test.sh

check: ## the fast part of it: format, lints, documentation, unit tests
	@scripts/test.sh --fast

setup: ## install what is missing; says nothing when all is there
	@scripts/setup.sh

console: ## the pages of the console, which the next build of the binary takes in
	@scripts/console.sh

picture: build ## docs/console.png, the console of the demo under attack, as the README shows it and a test sees it
	@PORTCULLIS_BIN="$(abspath $(TARGET))/quick/portcullis" SUITE_STRICT=1 cargo test --quiet --locked -p portcullis-suite --test newcomer
	@cp "$(TARGET)/suite/newcomer/holds.png" docs/console.png

build: ## the binary as the demo and the suite use it
	@scripts/setup.sh build
	@scripts/console.sh
	@cargo build --locked --profile quick -p portcullis

release: ## the binary as it ships
	@scripts/setup.sh build
	@scripts/console.sh
	@cargo build --locked --release -p portcullis

bench: ## side by side with nginx, haproxy, pgbouncer and libmodsecurity; ARGS="--only NAME --rounds N --seconds S", NAME as in waf-
	@scripts/setup.sh
	@cargo build --quiet --locked --release -p portcullis
	@cargo build --quiet --locked --release -p portcullis-peers --bin waf-engine
	@cargo build --quiet --locked --profile quick -p portcullis-bench
	@"$(TARGET)/quick/bench" --gate "$(TARGET)/release/portcullis" $(ARGS)

crs: ## the Core Rule Set's regression cases, and blocking beside other engines; ARGS="--only 942100 --show 500"
	@scripts/setup.sh build
	@cargo run --quiet --locked --profile quick -p portcullis-crs -- $(ARGS)

waf-diff: ## our rule engine and libmodsecurity on generated requests; ARGS="--requests N --seed S"
	@scripts/setup.sh build
	@cargo build --quiet --locked --profile quick -p portcullis-peers
	@"$(TARGET)/quick/waf-diff" $(ARGS)

postgres: ## the relay and its guard in front of PostgreSQL 13, 14, 16 and 17; `make test` tries 15 and 18
	@scripts/setup.sh build
	@cargo build --quiet --locked --profile quick -p portcullis
	@SUITE_STRICT=1 SUITE_POSTGRES=versions PORTCULLIS_BIN="$(TARGET)/quick/portcullis" cargo test --locked -p portcullis-suite \
		--test postgres --test statements --test coverage --test database_clients

workload: ## a million statements of an application's ordinary day against what was learned of it; none may be refused
	@PORTCULLIS_STATEMENTS=1000000 cargo test --locked --profile quick -p portcullis-grammar --test workload -- --nocapture

soak: ## full load with a reload and a take-over every 10 s; ARGS="--seconds 300"
	@scripts/setup.sh
	@cargo build --quiet --locked --release -p portcullis
	@cargo build --quiet --locked --profile quick -p portcullis-suite --bin soak
	@PORTCULLIS_BIN="$(abspath $(TARGET))/release/portcullis" "$(TARGET)/quick/soak" $(or $(ARGS),--seconds 300)

fuzz: ## every fuzz target; SECONDS_EACH=60
	@scripts/setup.sh
	@proof/fuzz/run.sh $(or $(SECONDS_EACH),60)

sweep: ## every scenario with many seeds, in virtual time; ARGS="--seeds 32 --only NAME --off PART"
	@scripts/setup.sh build
	@cargo run --quiet --locked --profile quick -p portcullis-simulator --example sweep -- $(or $(ARGS),--seeds 32)

reference: ## check the generated reference pages; UPDATE=1 writes them
	@scripts/reference.sh

waf-accuracy: ## what the built-in detection blocks of attacks and of ordinary traffic, and how long it takes; ARGS="--show 20"
	@scripts/setup.sh build
	@cargo run --quiet --locked --profile quick -p portcullis-waf --example accuracy -- $(ARGS)

evidence-bench: ## the ledger, a day of single requests and the report at full size: half an hour, and 3 GB in TMPDIR
	@scripts/setup.sh build
	@cargo build --quiet --locked --release -p portcullis
	@cargo run --quiet --locked --release -p portcullis-store --example rates
	@cargo run --quiet --locked --release -p portcullis-store --example requests
	@cargo run --quiet --locked --release -p portcullis --example report -- "$(TARGET)/release/portcullis"
