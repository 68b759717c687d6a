GO ?= go
export CGO_ENABLED ?= 0
STATE ?= .state

# Networks that "make loss" makes up.
SEEDS ?= 1000

# Fuzz targets that stand for the rest in the short run: those next to the network.
FUZZ_SHORT = FuzzChannel FuzzClusters FuzzReader FuzzInvokeRequest FuzzWriteRequest FuzzSigma1 FuzzResponder FuzzPacket

# Parts of test/packaging that need no build of packages, images or roots.
PACKAGING_SHORT = ^Test(Unit|Config|DashboardForm|Dashboard$$|Alerts|MetricsLint|MetricsDocumented|Shellcheck)

.PHONY: build run test check vulncheck unit interop browser screenshots crash-short packaging-short robust-short \
	interop-loss interop-bridge api-conformance interop-homeassistant interop-mqtt interop-certification setup crash packaging setup-packaging dist apt fuzz bench soak robust loss microbench clean

build:
	$(GO) build -tags nethttpomithttp2 -o bin/opcredsd ./cmd/opcredsd

# run starts the daemon on a state directory below the checkout, with simulated devices
# and a page for browsers on this machine.
run: build
	mkdir -p -m 700 $(STATE)
	./bin/opcredsd run --state-dir $(STATE) --show-codes always --demo --web-addr 127.0.0.1:8380

# test is the whole test run. The longer proofs have targets of their own below.
test: check unit interop browser crash-short packaging-short robust-short

check:
	@out=$$(gofmt -l cmd internal pkg test); [ -z "$$out" ] || { echo "not gofmt-ed: $$out" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags man ./cmd/opcredsd
	$(GO) vet -tags "interop browser homeassistant mqtt certification crash packaging" ./test/...
	$(GO) mod verify >/dev/null
	$(GO) mod tidy -diff
	$(GO) tool staticcheck ./...

# vulncheck asks the Go vulnerability database, which "make check" does without: it is
# not to be had everywhere.
vulncheck:
	$(GO) tool govulncheck ./...

# The race detector needs cgo; what is shipped is built without.
unit: setup
	CGO_ENABLED=1 $(GO) test -race -shuffle=on ./...

interop: build setup
	$(GO) test -count=1 -timeout 8m -tags interop -short -v ./test/interop

# browser opens the page in Chromium, beside a controller.
browser: build setup
	$(GO) test -count=1 -timeout 4m -tags "interop browser" -run '^TestPage' -v ./test/interop

# screenshots takes the pictures of docs/web.md.
screenshots: build setup
	mkdir -p docs/web
	SCREENSHOTS=$(abspath docs/web) $(GO) test -count=1 -timeout 4m -tags "interop browser" -run '^TestScreenshots$$' ./test/interop

crash-short: build setup
	$(GO) test -count=1 -timeout 8m -tags crash -short -v ./test/crash

packaging-short: setup
	$(GO) test -count=1 -timeout 8m -tags packaging -run '$(PACKAGING_SHORT)' ./test/packaging

# robust-short is some seconds of each flood, of a lossy link, and of fuzzing: by count,
# as the end of a time now and then counts as a failure of the target (context deadline
# exceeded).
robust-short: build setup
	$(GO) run ./test/soak -parts storm,flood,netem,burst -storm 3s -flood 3s -netem 2 -loss 20
	FUZZTIME=10000x GO=$(GO) ./test/fuzz.sh $(FUZZ_SHORT)
	FUZZTIME=50x GO=$(GO) ./test/fuzz.sh FuzzServer

# interop-loss is 20 commissionings each at 20 and 30 % loss: some minutes.
interop-loss: build setup
	INTEROP_LOSS_RUNS=20 $(GO) test -count=1 -timeout 20m -tags interop -run TestLoss -v ./test/interop

# interop-bridge follows 150 bridged devices through 100 random steps: some minutes.
interop-bridge: build setup
	INTEROP_BRIDGE_DEVICES=150 INTEROP_BRIDGE_STEPS=100 $(GO) test -count=1 -timeout 20m -tags interop -run TestBridgeSteps -v ./test/interop

# api-conformance holds the bridge API to its OpenAPI document with Schemathesis, from PyPI.
api-conformance: build
	./test/setup.sh schemathesis
	test/interop/schemathesis/run.sh bin/opcredsd

# interop-homeassistant lives with Home Assistant's Matter server, from PyPI.
interop-homeassistant: build
	./test/setup.sh homeassistant
	$(GO) test -count=1 -timeout 15m -tags "interop homeassistant" -run TestHomeAssistant -v ./test/interop

# interop-mqtt lives with a real zigbee2mqtt, from npm, and a radio that is not there.
interop-mqtt: build
	./test/setup.sh zigbee2mqtt
	$(GO) test -count=1 -timeout 15m -tags "interop mqtt" -run TestZigbee2MQTT -v ./test/interop

# interop-certification runs the certification scripts of SDK, a checkout of
# connectedhomeip, or those that SCRIPT names.
interop-certification: build
	./test/setup.sh certification
	SDK=$(abspath $(SDK)) $(GO) test -count=1 -timeout 120m -parallel 3 -tags "interop certification" -run 'Certification' -v ./test/interop

# setup brings what the tests need beyond Go, as far as this user may.
setup:
	./test/setup.sh

# crash kills the daemon, cuts its power and fills its disk at every point.
crash: build setup
	$(GO) test -count=1 -timeout 60m -tags crash -v ./test/crash

# packaging proves packages, image, unit and dashboards whole; as root.
packaging: setup-packaging
	$(GO) test -count=1 -timeout 40m -tags packaging -v ./test/packaging

setup-packaging:
	./test/setup.sh packaging

# dist makes tarballs, Debian packages and bills of materials for three architectures.
dist:
	packaging/dist.sh

# apt makes an apt repository of what dist has made.
apt: dist
	packaging/apt.sh dist dist/apt

# fuzz runs every fuzz target for FUZZTIME.
fuzz:
	./test/fuzz.sh

# bench measures what the daemon costs; PEER=matterjs measures matter.js beside it.
bench: build
	$(GO) run ./test/bench

# robust measures the floods and the lossy link of docs/robustness.md: half an hour.
robust: build loss
	$(GO) run ./test/soak -parts storm,flood,netem,burst
	$(GO) test -count=1 -run TestSigma1Storm -v ./pkg/server -args -storm 20m

# loss commissions over SEEDS simulated networks that lose, double and reorder.
loss:
	$(GO) test -count=1 -timeout 60m -run TestCommissionOverBadNetworks -v ./pkg/server -args -seeds $(SEEDS)

# soak works the daemon for 30 minutes and checks that nothing grows.
soak: build
	$(GO) run ./test/soak

# microbench runs the packages' own benchmarks.
microbench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean:
	rm -rf bin dist
