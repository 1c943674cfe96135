MODULES  := $(shell scripts/modules.sh)
FUZZTIME ?= 100000x
GREMLINS := v0.6.0
PASSES   ?= 8
MODEL    ?= 10000
HISTORIES ?= 10000
VULNDB   ?= https://vuln.go.dev
VERSION  ?=
RELEASE  ?= dry
SIGNING_KEY ?=

.PHONY: help all fmt lint test cover fuzz model mutants mutate fips slow try-release siege fleet-lab bench bench-compare vuln verify tidy licenses notices api release examples screenshots check ci

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

all: fmt lint test ## fmt, lint and test

fmt: ## format all modules
	@tool=$$(scripts/tool.sh golangci-lint) && for m in $(MODULES); do (cd $$m && $$tool fmt --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

lint: ## run the linters over all modules
	@tool=$$(scripts/tool.sh golangci-lint) && for m in $(MODULES); do echo "lint $$m" && (cd $$m && $$tool run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

test: ## run every test of every module, as CI does
	./test.sh

cover: ## statement coverage: 100 % of what decides (scripts/cover-whole.txt), 90 % in all
	@scripts/cover.sh

fuzz: ## run every fuzz target FUZZTIME (100000x) times
	@scripts/fuzz.sh $(FUZZTIME)

model: ## compare MODEL (10000) random histories with the reference model
	MODEL=$(MODEL) go test -count=1 -timeout=0 -run '^TestModel' .

mutants: ## plant mistakes in the engine, and see that the reference model notices each in HISTORIES (10000)
	go run ./internal/mutants -histories $(HISTORIES)

mutate: ## change what decides in small ways, and see that a test notices (an hour)
	@scripts/mutate.sh $(GREMLINS)

fips: ## run the tests with nothing but FIPS 140 cryptography, but for the emulator's codes
	@scripts/fips.sh

slow: ## what takes too long for test.sh: all rows of the faults, axe over every page in every state, with and without JavaScript, Chromium on https, every way in which scripts navigate, a walk with Firefox
	@command -v firefox-esr >/dev/null || { echo 'make slow: install it with: sudo apt-get install -y --no-install-recommends firefox-esr'; exit 2; }
	cd rules && go test -count=1 -run '^(TestBruteForce|TestExplainAgrees|TestHostileFiles)$$' .
	cd integration && go test -race -tags slow -count=1 -run '^(TestF0|TestF1|TestF2|TestF30|TestF31|TestF40)' .
	cd integration && go test -tags slow -count=1 -run '^(TestPages|TestDark|TestRefusalPages|TestHTTPS|TestTokenIsRenewedDuringAStep|TestHistory|TestSessionEndsInTheMiddle|TestErrorsAreInView|TestFieldF17WantedPageRedirectsAway|TestFieldF18ScriptsThatNavigate|TestForcedColors|TestMessages|TestCountdown|TestBackToTheNumber|TestFirefox)$$' ./browser

try-release: ## a release in a clone of this tree, and apps that are built from its tags alone
	cd integration && go test -tags slow -count=1 -timeout 30m -run '^TestRelease$$' .

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
	@for m in $(MODULES); do (cd $$m && go mod verify) || exit 1; done
	cd tools && go mod verify

tidy: ## tidy every go.mod, and make what a release needs of go.mod and go.work of published modules
	@scripts/tidy.sh

licenses: ## check the licenses of all dependencies against scripts/licenses.txt, and THIRD_PARTY_NOTICES against what apps link
	@scripts/licenses.sh

notices: ## write THIRD_PARTY_NOTICES
	@scripts/licenses.sh write

api: ## what has changed in the exported API since the last tag
	@scripts/api.sh

release: ## check, tag and describe the release VERSION in a clone, with files in dist/VERSION; RELEASE=yes takes commit and tags over, SIGNING_KEY signs them
	@SIGNING_KEY="$(SIGNING_KEY)" scripts/release.sh "$(VERSION)" "$(RELEASE)"

examples: ## build and test the examples
	cd examples && go vet ./... && go test -race ./...

screenshots: ## take the pictures of the pages in docs/screenshots again
	cd integration && go test -tags slow -count=1 -run '^TestPages$$' ./browser -screenshots $(CURDIR)/docs/screenshots

check: ## format, vet for macOS and Windows, tidy go.mod files, pinned actions
	@scripts/check.sh

ci: ## what decides whether a change lands
	.ci/run
