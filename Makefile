# Every module but tools, which only pins the linters.
MODULES  := $(shell find . -name go.mod -not -path './tools/*' -not -path '*/node_modules/*' -exec dirname {} \; | sort)
FUZZTIME ?= 100000x
GO_TOOL  := go tool -modfile=$(CURDIR)/tools/go.mod
GREMLINS := v0.6.0
PASSES   ?= 8
MODEL    ?= 10000
HISTORIES ?= 10000
VULNDB   ?= https://vuln.go.dev
# RFC 6238 as authenticator apps speak it is HMAC-SHA-1, which FIPS 140 has no
# place for. The emulator speaks it, and nothing else does.
# GOGC: the generators of random numbers that TestMain seeds must last. A
# collection of garbage drops them, and one that is seeded anew inside a synctest
# bubble, where the clock has no noise, panics.
# MODEL: without a collection of garbage, histories are only for memory to hold.
FIPS       := GODEBUG=fips140=only GOGC=off MODEL=100

.PHONY: help all fmt lint test cover fuzz model mutants mutate fips slow siege fleet-lab bench bench-compare vuln verify examples screenshots tidy-check ci

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

all: fmt lint test ## fmt, lint and test

fmt: ## format all modules
	@for m in $(MODULES); do (cd $$m && $(GO_TOOL) golangci-lint fmt --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

lint: ## run the linters over all modules
	@for m in $(MODULES); do echo "lint $$m" && (cd $$m && $(GO_TOOL) golangci-lint run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

test: ## run every test of every module, as CI does
	./test.sh

# What decides about a request is covered whole; the rest of the module must not
# fall below 90 %. A block counts as covered if any of the tests has run it.
COVER_WHOLE := policy policy_text internal/bitsets/bitsets internal/policylex/policylex internal/spelling/spelling factorset decide decision flight tombstone source_genauth source_store token guard internal/admission/admission internal/admission/watch returnto internal/returnto/app internal/returnto/destination internal/returnto/address internal/redirectloop/redirectloop internal/accept/accept store internal/urlpath/urlpath internal/typelists/typelists internal/breaker/breaker internal/breaker/memory internal/breaker/row internal/breaker/errors internal/budget/budget internal/claims/claims internal/digest/digest cache errors

ROOT := github.com/echomfa/echomfa
# What enroll's tests run of the root module, beside enroll.
COVER_SHARED := $(ROOT),$(ROOT)/client,$(ROOT)/genauthtest,$(ROOT)/internal/...

cover: ## statement coverage: 100 % of what decides (COVER_WHOLE), 90 % in all
	@profile=$$(mktemp) && trap 'rm -f "$$profile" "$$profile.log" "$$profile.enroll"' EXIT && \
	  MODEL=1000 go test -coverpkg=.,./client,./genauthtest,./internal/... -coverprofile="$$profile" ./... >"$$profile.log" || { cat "$$profile.log"; exit 1; } && \
	  (cd enroll && go test -coverpkg=./...,$(COVER_SHARED) -coverprofile="$$profile.enroll" ./...) >"$$profile.log" || { cat "$$profile.log"; exit 1; } && \
	  cat "$$profile.enroll" >>"$$profile" && \
	  awk -v whole="$(COVER_WHOLE)" ' \
	    BEGIN { n = split(whole, names, " "); for (i = 1; i <= n; i++) gated[names[i] ".go"] = 1 } \
	    !/^mode:/ { size[$$1] = $$2; if ($$3 > 0) hit[$$1] = 1 } \
	    END { \
	      for (block in size) { \
	        split(block, at, ":"); file = at[1]; sub(/^github.com\/echomfa\/echomfa\//, "", file); \
	        total += size[block]; if (block in hit) covered += size[block]; \
	        if (file in gated) { seen[file] = 1; if (!(block in hit)) { print "not covered: " file ":" at[2]; bad = 1 } } \
	      } \
	      for (file in gated) if (!(file in seen)) { print "not in the profile: " file; bad = 1 } \
	      printf "statements covered: %.1f %%\n", 100 * covered / total; \
	      exit bad || covered < 0.9 * total \
	    }' "$$profile"

fuzz: ## run every fuzz target FUZZTIME (100000x) times
	@for m in $(MODULES); do (cd $$m && go list -f '{{.Dir}}' ./... | while read -r dir; do \
	  for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | sed 's/func //'); do \
	    echo "fuzz $$target" && (cd $$dir && go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) . >/tmp/fuzz.$$$$ 2>&1 || { cat /tmp/fuzz.$$$$; exit 1; }) || exit 1; \
	  done; done) || exit 1; done; rm -f /tmp/fuzz.*

model: ## compare MODEL (10000) random histories with the reference model
	MODEL=$(MODEL) go test -count=1 -timeout=0 -run '^TestModel' .

mutants: ## plant mistakes in the engine, and see that the reference model notices each in HISTORIES (10000)
	go run ./internal/mutants -histories $(HISTORIES)

# Vet would refuse some mutants before a test sees them. A cached result would be
# taken for the time that the tests need, and each mutant for one that hangs.
mutate: ## change what decides in small ways, and see that a test notices (an hour)
	MODEL=1000 GOFLAGS='-vet=off -count=1' go run github.com/go-gremlins/gremlins/cmd/gremlins@$(GREMLINS) unleash . --invert-logical --timeout-coefficient 20 \
	  -E '^(client|echov5|enroll|genauthtest|storetest|redisstore|bench|examples|integration)/' \
	  -E '^internal/(answer|answertest|bounded|factortype|fieldvalue|hidden|hiddentest|mutants|page|redact|redistest|retryafter|sha1check)/' \
	  -E '^(handler|middleware|config|stats|doc)\.go'

fips: ## run the tests with nothing but FIPS 140 cryptography, but for the emulator's codes
	@if $(FIPS) go run ./internal/sha1check 2>/dev/null; then echo "fips: SHA-1 works, so this is no FIPS mode"; exit 1; fi
	@case $$(go env GOVERSION) in \
	  go1.25*) echo "fips: Go 1.25 lets the emulator have no codes: what needs them is left out"; \
	    $(FIPS) go test -count=1 $$(go list ./... | grep -v '/genauthtest$$') ;; \
	  *) $(FIPS) go test -count=1 ./... && cd enroll && $(FIPS) go test -count=1 ./... ;; \
	esac

slow: ## what takes too long for test.sh: an app that uses the modules as others do, axe over every page, every way in which scripts navigate, a walk with Firefox
	@command -v firefox-esr >/dev/null || { echo 'make slow: install it with: sudo apt-get install -y --no-install-recommends firefox-esr'; exit 2; }
	cd integration && go test -tags slow -count=1 -run '^TestModulesAreUsableFromOutside$$' .
	cd integration && go test -tags slow -count=1 -run '^(TestPages|TestFieldF18ScriptsThatNavigate|TestFirefox)$$' ./browser -accessible

# No test may depend on what the machine has time for, so these are sizes of the same
# tests, and no other ones: siege_test.go has them.
siege: ## the long ones: floods of minutes, attacks on the breaker, a million decisions about many users, every address, a fleet's calls (half an hour, on an idle machine)
	cd integration && go test -race -tags siege -count=1 -timeout 60m -v -run 'TestF27|TestF38|TestF40EnforcersWhileRedisFlaps|TestFleet|TestT29|TestBreakerSiege' .
	cd examples && go test -race -tags siege -count=1 -timeout 30m -v -run TestFleet ./fleet

fleet-lab: ## play failovers, losses and cuts on real Redis processes, and print what an invalidation promised and kept (some minutes)
	cd redisstore && go test -tags lab -count=1 -timeout 30m -v -run '^TestLab$$' .

bench: ## measure beside peers, in PASSES (8) interleaved passes, and print the tables (half an hour)
	@bench/run.sh $(PASSES)

bench-compare: ## compare the hit path with that of a revision (REV), and fail if it is slower by over 10 %
	@bench/compare.sh "$(REV)" $(PASSES)

vuln: ## look the dependencies up in the vulnerability databases (VULNDB)
	@.ci/vuln "$(VULNDB)" $(MODULES)

verify: ## compare what was downloaded with go.sum
	@for m in $(MODULES) tools; do (cd $$m && go mod verify) || exit 1; done

examples: ## build and test the examples
	cd examples && go vet ./... && go test -race ./...

screenshots: ## take the pictures of the pages in docs/screenshots anew
	cd integration && go test -count=1 -run '^TestPages$$' ./browser -screenshots $(CURDIR)/docs/screenshots

tidy-check: ## fail if a go.mod is not tidy
	@for m in $(MODULES); do (cd $$m && go mod tidy -diff) || exit 1; done

ci: ## what decides whether a change lands
	.ci/run
