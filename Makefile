# Two commands matter: `make run` and `make test`. Both install what is missing when they may, and say what to install when they may not.
SHELL := /bin/bash
CONFIG ?= release
BATON = .build/$(CONFIG)/baton
MANIFEST ?= Examples/disaggregated.yaml
PROMPT ?= What is gravity? Answer in one sentence.
PACKAGES = libffi-dev pkg-config python3-pip

# The folder where `make bench` writes, and how many interleaved repeats it makes.
BENCH = .build/bench
REPEATS ?= 5
PEERS ?= llama.cpp,pytorch
# Those of `make bench-serve`.
SERVE_REPEATS ?= 3

# Tests that run at once. Many of them use every processor by themselves; more at once make each other late.
WIDTH ?= --experimental-maximum-parallelization-width $(shell getconf _NPROCESSORS_ONLN)

.PHONY: run test build model setup clean bench bench-serve test-page soak storm mutants fuzz

run: build model
	@echo
	@echo "$$ baton run $(MANIFEST) --prompt \"$(PROMPT)\""
	@$(BATON) run $(MANIFEST) --prompt "$(PROMPT)" --max-tokens 96

test: setup
	swift build
	swift build --build-tests
	.build/debug/baton model pull
	@set -o pipefail; swift test --skip-build $(WIDTH) 2>&1 | grep -v -E '^◇ |^✔ Test (case )?passing' | tee .build/test.log \
	  || { echo; echo "What failed (the whole log: .build/test.log):"; grep -E '^✘' .build/test.log | cut -c1-800; exit 1; }

# Every rule of the contract against every broken driver: each must fail its own rule and no other. `make test` runs a sample of this.
mutants: setup
	swift build --build-tests
	BATON_MUTANTS=full swift test --skip-build --filter MutantTests

# Baton beside llama.cpp and PyTorch on this machine: a table, bench.json and bench.svg. llama.cpp is built from PyPI's llama-cpp-python into a
# cache, PyTorch is fetched into it (6 GB); PEERS=llama.cpp does without.
bench: build model
	@python3 Benchmarks/bench.py --baton $(BATON) --manifest Examples/aggregated.yaml --model "$$($(BATON) model pull | tail -1)" --repeats $(REPEATS) --peers "$(PEERS)" --out $(BENCH)

# What the runtime itself costs, and the kernels beside the machine's limits.
.PHONY: bench-micro
bench-micro: build model
	@python3 Benchmarks/micro.py --microbench .build/$(CONFIG)/microbench --model "$$($(BATON) model pull | tail -1)" --out $(BENCH)

# 1,000 requests over devices that fail, and isolated drivers that crash, in seeded ways; what became of them is printed. SOAK and SEED change how many and which.
SOAK ?= 1000
SEED ?= 1
soak: setup
	swift build
	swift build --build-tests
	.build/debug/baton model pull
	@set -o pipefail; BATON_SOAK_REQUESTS=$(SOAK) BATON_SOAK_ROUNDS=48 BATON_SOAK_SEED=$(SEED) swift test --skip-build --filter FaultSoakTests 2>&1 | grep -E '^(round|soak)|✘|✔ Test run|error'

# As many requests as STORM, good and bad, over each of three servers: one over a scripted engine, one with API keys and one with signing keys over the model.
STORM ?= 10000
storm: setup
	swift build
	swift build --build-tests
	.build/debug/baton model pull
	@set -o pipefail; BATON_STORM=$(STORM) swift test --skip-build --filter 'StormTests|ProcessTests' 2>&1 | grep -E '✘|✔|error'

# `baton serve` beside llama.cpp's server on the same file and threads, at 1, 4, 8 and 16 clients: a table, serve.json and serve.svg.
bench-serve: build model
	@python3 Benchmarks/bench_serve.py --baton $(BATON) --manifest Examples/aggregated.yaml --model "$$($(BATON) model pull | tail -1)" --repeats $(SERVE_REPEATS) --out $(BENCH)

# The page at / in headless Chromium, with screenshots; skipped aloud where there is none.
test-page: setup
	swift build
	.build/debug/baton model pull >/dev/null
	@python3 Tests/Page/page_test.py --baton .build/debug/baton --out .build/page

# Fuzzing with libFuzzer, each target for SECONDS_EACH; needs the fuzzer that comes with Swift for Linux. `make test` runs seeded inputs instead.
FUZZ = .build/fuzz
SECONDS_EACH ?= 60
FUZZ_TARGETS = gguf manifest driver-manifest elf attestation child

fuzz: setup
	swift build --product baton-fuzz
	swift build --scratch-path $(FUZZ) --target Fuzz -Xswiftc -sanitize=fuzzer
	@bash Tests/Fuzz/link.sh $(FUZZ) $(FUZZ)/fuzz
	@set -o pipefail; for target in $(FUZZ_TARGETS); do \
	  corpus=$(FUZZ)/corpus/$$target; mkdir -p $$corpus; .build/debug/baton-fuzz corpus $$target $$corpus $$([ $$target = manifest ] && ls Examples/*.yaml); \
	  echo "fuzzing $$target for $(SECONDS_EACH) s"; \
	  BATON_FUZZ_TARGET=$$target $(FUZZ)/fuzz -max_total_time=$(SECONDS_EACH) -rss_limit_mb=1024 -timeout=10 -max_len=65536 -print_final_stats=1 \
	    -artifact_prefix=$(FUZZ)/$$target- $$corpus 2>&1 | grep -E "^stat::|ERROR|SUMMARY|artifact" || exit 1; \
	done

build: setup
	swift build -c $(CONFIG)

model: build
	@$(BATON) model pull >/dev/null

setup:
	@command -v swift >/dev/null || { echo "Swift 6.2 or later is needed: https://www.swift.org/install" >&2; exit 1; }
	@pkg-config --exists libffi 2>/dev/null && python3 -m pip --version >/dev/null 2>&1 || $(MAKE) --no-print-directory install

.PHONY: install
install:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && apt-get install -y -qq $$(python3 -m pip --version >/dev/null 2>&1 && echo $(filter-out python3-pip,$(PACKAGES)) || echo $(PACKAGES)); \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
	  sudo apt-get update -qq && sudo apt-get install -y -qq $(PACKAGES); \
	else \
	  echo "Please install: $(PACKAGES)  (on Debian: sudo apt-get install $(PACKAGES))" >&2; exit 1; \
	fi

clean:
	rm -rf .build
