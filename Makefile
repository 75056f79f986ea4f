# Two commands are enough on a fresh Debian 12: make demo, make test.

PRESET := release
BUILD := build/$(PRESET)
JOBS := $(shell nproc)
SECONDS := 600
SOURCES = $(shell git ls-files '*.h' '*.cc')

.DEFAULT_GOAL := help
.PHONY: help setup build configure-tests everything demo test fuzz fuzzers mutants sweeps bench soak compose deb clean format lint

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: build/.setup-test ## Install what build and tests need (apt, with sudo when not root)

build/.setup-%: .ci/setup
	@.ci/setup $*
	@mkdir -p build && touch $@

# The programs need less than their tests do. Both are built in one folder, and what was configured for the tests stays so.
$(BUILD)/build.ninja: | build/.setup-build
	@cmake --preset $(PRESET) -DBUILD_TESTING=OFF -DSPROCKETS_BENCHMARKS=OFF >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }

build: $(BUILD)/build.ninja ## Build both programs into build/bin/
	@cmake --build --preset $(PRESET) --target sprockets-sidecar sprockets-replayer

configure-tests: build/.setup-test
	@cmake --preset $(PRESET) -DBUILD_TESTING=ON -DSPROCKETS_BENCHMARKS=ON >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }

everything: configure-tests
	@cmake --build --preset $(PRESET)

demo: configure-tests ## Kill Redis under load and count: each acknowledged event is in its stream exactly once. Then empty it, and get it back from PostgreSQL and from journals
	@cmake --build --preset $(PRESET) --target sprockets-demo
	@build/bin/sprockets-demo

test: everything fuzzers ## Build the release and run every test, and every fuzzer for up to twenty seconds
	@ctest --preset $(PRESET) --parallel $(JOBS)
	@ctest --preset fuzz --parallel $(JOBS)

fuzz: fuzzers ## Run every fuzzer for SECONDS (600)
	@FUZZ_SECONDS=$(SECONDS) ctest --preset fuzz --parallel $(JOBS)

fuzzers: build/.setup-test
	@cmake --preset fuzz >build/configure-fuzz.log 2>&1 || { cat build/configure-fuzz.log; exit 1; }
	@cmake --build --preset fuzz

mutants: build/.setup-test ## Break the product on purpose, in a copy, and show what catches each fault
	@tests/faults/mutants/run

sweeps: everything ## The faults at the system's edge at each of their places, of which `make test` takes every third one (an hour)
	@SPROCKETS_LONG_TESTS=1 ctest --preset $(PRESET) --parallel $(JOBS) --tests-regex '^edge\.'

bench: everything ## Measure side by side with Redis and SQLite alone, and print the ratios
	@bench/run

SEED ?= 1
MINUTES ?= 10
MODE ?= redis disk sets
soak: configure-tests ## Faults drawn from SEED over real processes, MINUTES for each MODE (redis and disk: what --ack is; sets: schema sets), and the books compared after each round
	@cmake --build --preset $(PRESET) --target sprockets-soak
	@for mode in $(MODE); do build/bin/sprockets-soak --of $$mode --seed $(SEED) --minutes $(MINUTES) || exit 1; done

compose: everything ## Run the Docker Compose lines of the documentation on this machine's engine
	@tests/docs.py build/bin --compose

deb: build ## Make a Debian package of both programs in build/
	@.ci/setup dev
	@cd $(BUILD) && cpack -G DEB >../cpack.log 2>&1 || { cat ../cpack.log; exit 1; }
	@ls build/sprockets_*.deb

clean: ## Remove everything that was built
	@rm -rf build

format: ## Format the sources
	@.ci/setup dev
	@clang-format -i $(SOURCES)

lint: configure-tests ## Look for mistakes with clang-tidy
	@.ci/setup dev
	@clang-tidy --quiet -p $(BUILD) $(filter %.cc,$(SOURCES))
