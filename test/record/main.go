package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// insideVar is set where this program runs in a network namespace.
const insideVar = "OPCREDSD_RECORD_INSIDE"

type settings struct {
	daemon string
	raw    string
	length time.Duration
	speed  float64
	only   *regexp.Regexp
}

func main() {
	log.SetFlags(log.Ltime)
	var s settings
	flag.StringVar(&s.daemon, "daemon", "bin/opcredsd", "binary of the daemon")
	flag.StringVar(&s.raw, "raw", "", "directory for the scrapes")
	flag.DurationVar(&s.length, "for", time.Hour, "how long to record")
	flag.Float64Var(&s.speed, "speed", 1, "how much sooner everything happens, to try it")
	only := flag.String("only", "", "regular expression: record only the gateways that it matches")
	convert := flag.Bool("convert", false, "make the test data out of the scrapes, and record nothing")
	flag.Parse()
	if err := s.run(*only, *convert); err != nil {
		log.Fatal(err)
	}
}

func (s *settings) run(only string, convert bool) (err error) {
	if s.raw == "" {
		return errors.New("-raw: name a directory")
	}
	if convert {
		return convertAll(s.raw)
	}
	if s.only, err = regexp.Compile(only); err != nil {
		return err
	}
	if s.daemon, err = filepath.Abs(s.daemon); err != nil {
		return err
	}
	if os.Getenv(insideVar) == "" {
		code, err := netns.Rerun(0, insideVar+"=1")
		if err != nil {
			return fmt.Errorf("no network namespace: %w\n%s", err, netns.Denied)
		}
		os.Exit(code)
	}
	if err := os.MkdirAll(s.raw, 0o755); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	return s.record(ctx)
}

// record runs all gateways at the same time.
func (s *settings) record(ctx context.Context) error {
	if err := netns.Loopback(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.length)
	defer cancel()
	var wg sync.WaitGroup
	for i, p := range plays {
		if !s.only.MatchString(p.name) {
			continue
		}
		g, err := newGateway(s, i+1, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		defer g.close()
		if err := g.start(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		wg.Go(func() { g.scrapes(ctx) })
		wg.Go(func() {
			if err := p.play(ctx, g); err != nil && ctx.Err() == nil {
				log.Printf("%s: %v", p.name, err)
			}
		})
	}
	wg.Wait()
	return nil
}
