package main

import (
	"context"
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// Environment variable for running this program again in another role.
const (
	roleVar    = "OPCREDSD_BENCH_ROLE"
	roleInside = "inside" // in its own network namespace
	roleEcho   = "echo"   // the floor of a read
	roleRelay  = "relay"  // the floor of an MQTT message
	brokerVar  = "OPCREDSD_BENCH_BROKER"
)

type settings struct {
	daemon  string // the binary
	dir     string // directory of the stores
	rounds  int
	fabrics int
	peer    string         // "", or "matterjs"
	only    *regexp.Regexp // parts to measure
}

func init() {
	runtime.LockOSThread() // main runs on the first thread, which is measured of the relay
}

func main() {
	switch os.Getenv(roleVar) {
	case roleEcho:
		exit(serveEcho())
	case roleRelay:
		exit(serveRelay())
	}
	runtime.UnlockOSThread()
	var s settings
	flag.StringVar(&s.daemon, "daemon", "bin/opcredsd", "binary of the daemon")
	flag.StringVar(&s.dir, "dir", "", "directory for the daemon's store: its file system affects the results (default: the temporary directory)")
	flag.IntVar(&s.rounds, "rounds", 7, "rounds of each measurement; the result is their median")
	flag.IntVar(&s.fabrics, "fabrics", 254, "fabrics of the large node, 5 to 254")
	only := flag.String("only", "", "regular expression: measure only the matching parts (start, idle, read, wildcard, case, label, pase, commissioning, fabrics, flat, bridge, fades, mqtt)")
	flag.Parse()
	s.peer = os.Getenv("PEER")
	if err := s.check(*only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if os.Getenv(roleVar) != roleInside {
		code, err := netns.Rerun(0, roleVar+"="+roleInside)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: no network namespace: %v\n%s\n", err, netns.Denied)
		}
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	exit(run(ctx, &s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (s *settings) check(only string) (err error) {
	if s.only, err = regexp.Compile(only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	switch {
	case s.peer != "" && s.peer != "matterjs":
		return fmt.Errorf("PEER=%s: the only peer is matterjs", s.peer)
	case s.rounds < 1:
		return fmt.Errorf("-rounds %d: at least one", s.rounds)
	case s.fabrics < 5 || s.fabrics > 254:
		return fmt.Errorf("-fabrics %d: 5 to 254", s.fabrics)
	}
	if s.daemon, err = filepath.Abs(s.daemon); err != nil {
		return err
	}
	if _, err := os.Stat(s.daemon); err != nil {
		return fmt.Errorf("no daemon: %w (make build)", err)
	}
	if f, err := elf.Open(s.daemon); err == nil {
		defer f.Close()
		if libraries, err := f.ImportedLibraries(); err == nil && len(libraries) > 0 {
			return fmt.Errorf("%s is linked dynamically, which takes 2 MiB more than a release: build it with CGO_ENABLED=0 (make build)", s.daemon)
		}
	}
	return nil
}
