package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// insideVar is set when this program runs itself in its own namespaces.
const insideVar = "OPCREDSD_SOAK_INSIDE"

type settings struct {
	daemon   string
	dir      string
	parts    []string
	duration time.Duration // of the mixed load
	storm    time.Duration // of the storm of Sigma1, each kind
	flood    time.Duration // of the flood of random datagrams
	netem    int           // commissionings over a lossy link
	loss     int           // of that, in percent
	seed     uint64
}

// part is a part of the program that can be run.
type part struct {
	name string
	run  func(context.Context, *settings) error
}

var parts = []part{
	{"mixed", runMixed},
	{"storm", runStorm},
	{"flood", runFlood},
	{"netem", runNetem},
	{"burst", runBurst},
}

func main() {
	var s settings
	var which string
	flag.StringVar(&s.daemon, "daemon", "bin/opcredsd", "binary of the daemon")
	flag.StringVar(&s.dir, "dir", "", "directory for the daemon's state (default: a temporary one)")
	flag.StringVar(&which, "parts", "mixed", "what to run: mixed, storm, flood, netem, burst, with commas, or all")
	flag.DurationVar(&s.duration, "duration", 30*time.Minute, "duration of the mixed load")
	flag.DurationVar(&s.storm, "storm", 2*time.Minute, "duration of each storm of Sigma1")
	flag.DurationVar(&s.flood, "flood", 30*time.Second, "duration of each flood of datagrams")
	flag.IntVar(&s.netem, "netem", 100, "commissionings over a lossy link")
	flag.IntVar(&s.loss, "loss", 30, "percent that the link loses, each way")
	flag.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "seed of the order of operations")
	flag.Parse()
	if err := s.check(which); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	if os.Getenv(insideVar) == "" {
		code, err := netns.Rerun(0, insideVar+"=1")
		if err != nil {
			fmt.Fprintf(os.Stderr, "soak: no network namespace: %v\n%s\n", err, netns.Denied)
		}
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	for _, p := range parts {
		if !slices.Contains(s.parts, p.name) {
			continue
		}
		if err := p.run(ctx, &s); err != nil {
			fmt.Fprintf(os.Stderr, "soak: %s: %v\n", p.name, err)
			os.Exit(1)
		}
	}
}

func (s *settings) check(which string) (err error) {
	for _, p := range parts {
		if which == "all" || slices.Contains(strings.Split(which, ","), p.name) {
			s.parts = append(s.parts, p.name)
		}
	}
	if len(s.parts) == 0 || which != "all" && len(s.parts) != len(strings.Split(which, ",")) {
		return fmt.Errorf("-parts %s: unknown part", which)
	}
	if s.daemon, err = filepath.Abs(s.daemon); err != nil {
		return err
	}
	if _, err := os.Stat(s.daemon); err != nil {
		return fmt.Errorf("no daemon: %w (make build)", err)
	}
	return nil
}
