# The commands of daily work. Every target can be run on a fresh clone: it makes what it needs first.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PREFIX ?= /usr/local

# The table of modules in ARCHITECTURE.md is checked by the build: an import of a module that is not declared is an error.
BUILD_FLAGS := --explicit-target-dependency-import-check error
# What two parts of the program do with one variable at a time is checked in debug builds, which run the tests. In release the check
# cost one instruction in seven of a forwarded call.
RELEASE_FLAGS := -c release $(BUILD_FLAGS) -Xswiftc -enforce-exclusivity=unchecked
ifeq ($(shell uname -s),Linux)
# One file that runs on any Linux of the same age; macOS brings the Swift libraries with the system.
RELEASE_FLAGS += --static-swift-stdlib
endif

COUNTERPARTS := Tests/Counterparts
MCP1 := .venv/mcp1
MCP2 := .venv/mcp2
FASTMCP := .venv/fastmcp

.PHONY: bench bench-check bench-instructions bench-programs fuzz schedules soak help demo test unit-test counterpart-test release format \
	format-check install clean system-packages

help:
	@echo 'make demo                  build, list the merged tools of two servers, make one call'
	@echo 'make test                  all tests: unit tests, then the real counterparts (Python SDKs, servers from PyPI)'
	@echo 'make unit-test             the Swift tests only'
	@echo 'make counterpart-test      the counterparts only; T="-k progress" passes arguments to pytest'
	@echo 'make fuzz SECONDS=600     damaged messages from both sides until the time is over; SEED=n repeats a run'
	@echo 'make bench                 what mcpagg costs, against programs that only copy; CALLS=n, ONLY="part …", JSON=file'
	@echo 'make bench-check           the same, then the instruction counts; fails if a target is missed'
	@echo 'make bench-instructions    instructions of a call, counted by valgrind; CALLS=n, JSON=file'
	@echo 'make soak SECONDS=1800     the figures of reliability, for long; SEED=n, KILLS=n, ONLY=part, EXECUTABLE=path'
	@echo 'make schedules             10,000 schedules of faults in simulated time; COUNT=n, SEED=n for the first'
	@echo 'make release               the release executables, in .build/release'
	@echo 'make format, format-check  lay the sources out, or check that they are'
	@echo 'make install PREFIX=DIR    the stripped release executable to DIR/bin ($(PREFIX))'
	@echo 'make clean                 remove what was built and the virtual environments'

demo: system-packages
	swift build $(RELEASE_FLAGS) --product fake-mcp-server
	swift build $(RELEASE_FLAGS) --product mcpagg
	@echo
	@echo '$$ .build/release/mcpagg --config mcp.json.example list-tools'
	@.build/release/mcpagg --config mcp.json.example list-tools
	@echo
	@echo '$$ .build/release/mcpagg --config mcp.json.example call alpha__add a=19 b=23'
	@.build/release/mcpagg --config mcp.json.example call alpha__add a=19 b=23

test: unit-test counterpart-test

unit-test: system-packages
	swift build $(BUILD_FLAGS) --build-tests
	Scripts/swift-test $(BUILD_FLAGS)
	Scripts/swift-test --package-path Benchmarks

counterpart-test: release $(MCP1)/.installed $(MCP2)/.installed $(FASTMCP)/.installed
	@$(MCP2)/bin/python $(COUNTERPARTS)/what_is_validated.py
	$(MCP2)/bin/python -m pytest -c $(COUNTERPARTS)/pytest.ini $(COUNTERPARTS) $(T)

SECONDS ?= 600

fuzz: release
	$(PYTHON) $(COUNTERPARTS)/fuzz/fuzzing.py .build/release/mcpagg --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

soak: SECONDS = 1800
KILLS ?= 1000
EXECUTABLE ?= .build/release/mcpagg

soak: release $(MCP2)/.installed $(if $(ONLY),,schedules)
	PYTHONPATH=$(COUNTERPARTS) $(MCP2)/bin/python -m soak $(EXECUTABLE) --seconds $(SECONDS) --kills $(KILLS) \
		$(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON))

COUNT ?= 10000

# Each is played in its own time: the same ones that the tests play a few hundred of.
schedules: system-packages
	swift build $(BUILD_FLAGS) --build-tests
	MCPAGG_SCHEDULES=$(COUNT) MCPAGG_SCHEDULE_FIRST=$(or $(SEED),1) swift test $(BUILD_FLAGS) --skip-build --filter ScheduleTests

BENCH := Benchmarks/.build/release/bench
BENCH_PROGRAMS := --mcpagg $(EXECUTABLE) --fake-server .build/release/fake-mcp-server
BENCH_OPTIONS := $(if $(CALLS),--calls $(CALLS)) $(if $(JSON),--json $(JSON))

bench: release bench-programs
	$(BENCH) run $(BENCH_PROGRAMS) $(BENCH_OPTIONS) $(if $(ONLY),--only $(ONLY))

bench-instructions: release bench-programs
	$(BENCH) instructions $(BENCH_PROGRAMS) $(BENCH_OPTIONS)

bench-check: release bench-programs
	@status=0; \
	$(BENCH) run $(BENCH_PROGRAMS) $(if $(CALLS),--calls $(CALLS)) $(if $(JSON),--json $(JSON)) --check || status=$$?; \
	$(BENCH) instructions $(BENCH_PROGRAMS) $(if $(JSON),--json $(JSON).instructions) --check || status=$$?; \
	exit $$status

bench-programs:
	swift build -c release --package-path Benchmarks

release: system-packages
	swift build $(RELEASE_FLAGS) --product fake-mcp-server
	swift build $(RELEASE_FLAGS) --product mcpagg

# One environment for each, because the `mcp` package of either generation keeps the other one out. The stamp is written last, so an
# installation that was interrupted is done again.
.venv/%/.installed: $(COUNTERPARTS)/requirements-%.txt | system-packages
	rm -rf .venv/$*
	$(PYTHON) -m venv .venv/$*
	.venv/$*/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

system-packages:
	@Scripts/install-system-packages $(PYTHON)

FORMATTED := Sources Tests Package.swift Benchmarks/Sources Benchmarks/Tests Benchmarks/Package.swift

format:
	swift format --in-place --recursive $(FORMATTED)

format-check:
	swift format lint --strict --recursive $(FORMATTED)

install: release
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 .build/release/mcpagg $(DESTDIR)$(PREFIX)/bin/mcpagg
	strip $(DESTDIR)$(PREFIX)/bin/mcpagg

clean:
	rm -rf .build Benchmarks/.build .venv $(COUNTERPARTS)/.pytest_cache
	find $(COUNTERPARTS) -name __pycache__ -type d -prune -exec rm -rf {} +
