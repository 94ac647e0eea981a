# Thin: every target is one command that also works by itself. `make` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo release check test sim bench bench-edge bench-scale bench-connections bench-overload fuzz sdk user-agents deny

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing from Debian or Ubuntu (all of it; demo and test do their own part)
	@tests/setup.sh build test bench

demo: ## Build and start the gateway with a shop, an ad server and a live page, on loopback
	@tests/setup.sh build
	@deploy/demo.sh $(ARGS)

release: ## Build the binary, the tarball and the .deb into target/release-artefacts (docs/release.md)
	@tests/setup.sh build
	@deploy/release.sh $(ARGS)

check: ## Format, lints and docs: what a commit must pass
	@tests/run.sh fmt clippy doc

test: ## Pass the tests, all of them, cheapest first
	@tests/setup.sh build test
	@tests/run.sh

sim: ## Crash simulation with many seeds (SEEDS=10000)
	TIDEGATE_SIM_SEEDS=$(or $(SEEDS),10000) tests/run.sh simulation

bench: ## Criterion benches, one step at a time
	cargo bench --locked -p tidegate-benches

bench-edge: ## CPU per request beside nginx, and of each version of HTTP beside the others
	@tests/setup.sh build bench
	benches/edge.sh $(ARGS)

bench-scale: ## Memory, cost and restart with a million visitors
	@tests/setup.sh build
	benches/scale.sh $(ARGS)

bench-connections: ## Memory of 10,000 idle connections, a good client beside 10,000 slow ones
	@tests/setup.sh build
	benches/connections.sh $(ARGS)

bench-overload: ## Goodput and latency at three times the capacity, open loop
	@tests/setup.sh build
	benches/overload.sh $(ARGS)

fuzz: ## Property tests with many more cases (CASES=20000), then cargo-fuzz where it is installed
	PROPTEST_CASES=$(or $(CASES),20000) cargo test --locked --workspace --lib
	@if command -v cargo-fuzz >/dev/null; then \
	  cd tests/fuzz && cargo +nightly fuzz run --fuzz-dir . decode -- -max_total_time=60; \
	else echo "cargo-fuzz is not installed: its targets in tests/fuzz were not run"; fi

sdk: ## Build the tag and test it
	@tests/setup.sh test
	cd sdk-js && npm ci --ignore-scripts --no-audit --no-fund && npm run build && npm test

user-agents: ## Fetch the newest data for user agents (OUT=DIR: not into the build; needs pip, npm)
	collector/user-agents/refresh.py $(OUT)

deny: ## Licences, advisories and duplicates of the dependencies (needs cargo-deny)
	@tests/run.sh deny advisories
