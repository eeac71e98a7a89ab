# 3rc. `make help` lists the targets. demo and test set up what they need, on a
# fresh Debian 12 as root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export PATH := $(CURDIR)/.cache/go/bin:$(PATH):/usr/local/go/bin
export GOTOOLCHAIN := local
LAB ?= /tmp/3rc-lab
export LAB

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PURE := ./schema/... ./plan/... ./apply/... ./reconcile/... ./providers/conform/... ./providers/fake/... ./providers/probe/... ./providers/store/...
FUZZTIME ?= 3m
TRIALS ?= 1000000

.PHONY: help demo test check build lab-up lab-down fuzz mutants sim golden bench chaos kills failover install-debian installs clean setup setup-build format lab-test

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup:
	@fixtures/setup lab

setup-build:
	@fixtures/setup build

build: setup-build ## bin/3rc
	@CGO_ENABLED=1 go build -ldflags "-X main.build=$(VERSION)" -o bin/3rc ./cmd/3rc

demo: setup build ## three real hosts and the main job, end to end
	@fixtures/demo

format: setup-build
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not formatted (gofmt -w): $$out"; exit 1; fi

check: format ## format, vet, staticcheck, floors and pure tests: for every save
	@CGO_ENABLED=0 go vet $(PURE)
	@CGO_ENABLED=0 go tool staticcheck $(PURE)
	@CGO_ENABLED=0 go test -short $(PURE)
	@go test ./fixtures/floors ./fixtures/mutants

# What check looks at is looked at once, with the rest: nothing is run twice.
test: setup format ## all tests, the lab included
	@go vet -tags lab ./... && go vet -tags lab,long ./fixtures/installer && go tool staticcheck -tags lab ./...
	@CGO_ENABLED=0 go test -timeout 30m $(PURE)
	@go test $$(go list ./cmd/... ./providers/... | grep -vxF "$$(go list $(PURE))") ./fixtures/floors ./fixtures/mutants
	@$(MAKE) --no-print-directory lab-test

lab-test: build
	@fixtures/lab-test

# Arguments: make chaos RC3_KILLS=100 RC3_SEED=1 repeats what a run printed.
chaos: setup build ## the watch killed at 30 instants of recoveries, and stopped and cut off for a minute
	@trap 'fixtures/lab/lab down' EXIT; fixtures/lab/lab up 3; \
	RC3_CHAOS=1 go test -tags lab -p 1 -count 1 -timeout 60m -v -run 'TestWatchKilled|TestWatchAbused' ./fixtures/failover

KILLS ?= 50
kills: setup build ## apply killed at KILLS random instants of creates, changes, migrations and destroys
	@trap 'fixtures/lab/lab down' EXIT; fixtures/lab/lab up 3; \
	RC3_KILLS=$(KILLS) go test -tags lab -count 1 -timeout 60m -v -run 'TestStories/killed' ./fixtures/stories

lab-up: setup ## three lab hosts
	@fixtures/lab/lab up 3

lab-down: ## no lab hosts, and nothing left of them
	@fixtures/lab/lab down

# Making interesting inputs smaller may take a minute for each, in which nothing
# new is tried; a hundred attempts are enough.
fuzz: setup-build ## every fuzz target for FUZZTIME
	@for p in $$(CGO_ENABLED=0 go list $(PURE)); do \
		for f in $$(CGO_ENABLED=0 go test -list '^Fuzz' $$p | grep ^Fuzz || true); do \
			echo "$$p $$f"; CGO_ENABLED=0 go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$p; \
		done; done

sim: setup-build ## every two faults of the small worlds, TRIALS random trials (a million: hours), whatif and what is left out against the watch
	@RC3_DEPTH=2 CGO_ENABLED=0 go test -timeout 24h -v -run TestSmallWorlds ./reconcile/sim
	@RC3_TRIALS=$(TRIALS) CGO_ENABLED=0 go test -timeout 24h -v -run TestCampaign ./reconcile/sim
	@RC3_SKIPS=20000 CGO_ENABLED=0 go test -timeout 24h -v -run TestSkippingLeavesTheSameState ./reconcile/sim
	@RC3_TRIALS=10000 CGO_ENABLED=0 go test -timeout 24h -v -run TestWhatIfIsWhatTheWatchDoes ./reconcile/sim

# Arguments: make mutants MUTANTS='-run breaker'.
mutants: setup-build ## break every rule of the machine, one by one; some test must notice each time
	@nice -n 10 go run ./fixtures/mutants $(MUTANTS)

golden: setup-build ## write the golden files of the tests anew; read the difference before you commit it
	@CGO_ENABLED=0 go test ./schema ./plan/kinds ./plan/place ./providers/fake ./reconcile ./reconcile/incident -rewrite
	@REWRITE=1 go test ./cmd/3rc
	@go test ./providers/libvirt -update
	@go test ./providers/fence -rewrite
	@go run ./cmd/3rc schema -format=markdown > docs/reference.md
	@git status --short

bench: build setup ## plans of 10, 100 and 500 guests over the raw floor of the same run, and of eight hosts at once
	@mkdir -p bin; go build -o bin/benchmark ./fixtures/benchmark; trap "fixtures/lab/lab down" EXIT; bin/benchmark

RUNS ?= 10
failover: build setup ## how long failover takes: medians of RUNS of each case (ten: half an hour)
	@trap 'fixtures/lab/lab down' EXIT; fixtures/lab/lab up 3; \
	RC3_RUNS=$(RUNS) go test -tags lab -count 1 -timeout 3h -v -run 'TestPowerLoss|TestGuestKilled' ./fixtures/failover

install-debian: build setup ## a minimal Debian installed from nothing by 3rc, with the time of each phase (a quarter of an hour)
	@fixtures/installer/debian

installs: build setup ## the long tests of installations: ten guests from an image, an image whose apply is killed, a local disk of a lost host, Debian's installer and cloud-init (half an hour)
	@for part in debian-initrd cloud-disk; do fixtures/installer/installer $$part >/dev/null; done
	@trap 'fixtures/lab/lab down' EXIT; fixtures/lab/lab up 3; \
	go test -tags lab,long -count 1 -timeout 60m -v ./fixtures/installer; \
	RC3_LONG=1 go test -tags lab -count 1 -timeout 60m -v -run 'TestInstalledFromAnImage|TestLocalDiskOfALostHost|TestGoldenImage' ./fixtures/failover

clean: ## build results and caches
	@rm -rf bin .cache; fixtures/lab/lab clean
