# Cloister. `make run` and `make test` do everything on a fresh machine; `make help` lists the rest.
SHELL := /bin/bash
PREFIX ?= /usr/local
SWIFT_BUILD = swift build -c release --disable-sandbox

.PHONY: help setup build kernel agent run test unit integration bench fuzz soak lint format install clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what is missing (apt)
	@scripts/setup

build: setup bin/vmlinux bin/initramfs programs ## bin/: cloister, its shim, the guest's kernel and initramfs

.PHONY: programs
programs: setup
	$(SWIFT_BUILD) --product cloister
	$(SWIFT_BUILD) --product containerd-shim-cloister-v2
	@mkdir -p bin
	@for program in cloister containerd-shim-cloister-v2; do \
		install -m 0755 "$$($(SWIFT_BUILD) --show-bin-path)/$$program" bin/; strip bin/$$program; done

.PHONY: bin/vmlinux
bin/vmlinux: setup
	@mkdir -p bin
	@kernel-config/build $@

.PHONY: bin/initramfs
bin/initramfs: setup
	@mkdir -p bin
	@guest-agent/build bin/cloister-agent
	@kernel-config/initramfs bin/cloister-agent $@

run: build ## build everything, make a demonstration image, run it
	@scripts/demonstrate

test: build unit integration ## every test, unit and real guests

unit: setup
	Tests/units

integration: build
	Tests/Integration/run

bench: build ## measure, and write docs/performance.md
	Benchmarks/run

fuzz: setup ## run each fuzz target for FUZZ_SECONDS (60)
	Fuzz/run

soak: build ## 200 sandboxes in a row, 100 more eight at a time
	Tests/Integration/run --soak

lint: setup ## formatting and warnings
	swift format lint --strict --recursive --parallel Sources Tests guest-agent/Sources guest-agent/Tests Fuzz Package.swift
	swift build -Xswiftc -warnings-as-errors

format: ## format every Swift file in place
	swift format --in-place --recursive --parallel Sources Tests guest-agent/Sources guest-agent/Tests Fuzz Package.swift

install: ## copy bin/ to PREFIX (built before, by an ordinary user)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/cloister
	install -m 0755 bin/cloister bin/containerd-shim-cloister-v2 $(DESTDIR)$(PREFIX)/bin/
	install -m 0644 bin/vmlinux bin/initramfs $(DESTDIR)$(PREFIX)/lib/cloister/

clean: ## remove what was built (the caches stay)
	rm -rf bin .build guest-agent/.build
