GO ?= go
export CGO_ENABLED ?= 0
STATE ?= .state

.PHONY: build run test check unit interop setup fuzz bench clean

build:
	$(GO) build -o bin/opcredsd ./cmd/opcredsd

# run starts the daemon on a state directory below the checkout.
run: build
	mkdir -p -m 700 $(STATE)
	./bin/opcredsd run --state-dir $(STATE) --show-codes always

# test is the whole test run.
test: check unit interop

check:
	@out=$$(gofmt -l cmd internal pkg test); [ -z "$$out" ] || { echo "not gofmt-ed: $$out" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags interop ./test/interop
	$(GO) mod verify >/dev/null

# The race detector needs cgo; what is shipped is built without.
unit: setup
	CGO_ENABLED=1 $(GO) test -race -shuffle=on ./...

interop: build setup
	$(GO) test -count=1 -timeout 5m -tags interop -v ./test/interop

# setup brings what the tests need beyond Go, as far as this user may.
setup:
	./test/setup.sh

fuzz:
	./test/fuzz.sh

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean:
	rm -rf bin dist
