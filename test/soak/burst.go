package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	burstLimit  = 5 * time.Second // for each command of a burst
	burstRounds = 10
	burstGrowth = 16 << 10 // KiB of resident memory, for requests that wait

	clGroupKeys    matter.ClusterID = 0x3F
	readAllIndices matter.CommandID = 4 // changes nothing
)

// runBurst sends many commands at once, from one controller that switches a house
// and from ten.
func runBurst(ctx context.Context, s *settings) error {
	r, m, err := newCommissioned(ctx, s)
	if err != nil {
		return err
	}
	defer r.remove()
	sessions := []*commissioner.Session{m.s}
	for len(sessions) < 10 {
		if err := m.connect(ctx, false); err != nil {
			return fmt.Errorf("session %d: %w", len(sessions)+1, err)
		}
		sessions = append(sessions, m.s)
	}
	rows := [][]string{{"commands at once", "bursts", "answered", "median, ms", "longest, ms", "RSS before, KiB", "after"}}
	failed := 0
	for _, b := range []struct {
		name               string
		sessions, commands int
	}{{"500 on one session", 1, 500}, {"50 on each of ten", 10, 50}} {
		before, err := r.measure()
		if err != nil {
			return err
		}
		var t timings
		for range burstRounds {
			if err := burst(ctx, &t, sessions[:b.sessions], b.commands); err != nil {
				failed++
				fmt.Println(b.name, err)
			}
		}
		after, err := r.measure()
		if err != nil {
			return err
		}
		took := t.of("command")
		failed += t.beyond(burstLimit)
		if after.RSS > before.RSS+burstGrowth {
			failed++
			fmt.Printf("%s: resident memory grew from %d to %d KiB\n", b.name, before.RSS, after.RSS)
		}
		rows = append(rows, []string{
			b.name, fmt.Sprint(burstRounds), fmt.Sprintf("%d of %d", len(took.took), burstRounds*b.sessions*b.commands),
			ms(took.at(.5)), ms(took.at(1)), fmt.Sprint(before.RSS), fmt.Sprint(after.RSS),
		})
	}
	table(rows...)
	if failed > 0 {
		return fmt.Errorf("%d commands failed, or took longer than %v", failed, burstLimit)
	}
	return nil
}

// burst sends commands at once on each session and waits for the answers.
func burst(ctx context.Context, t *timings, sessions []*commissioner.Session, commands int) error {
	ctx, cancel := context.WithTimeout(ctx, opLimit)
	defer cancel()
	type answer struct {
		took time.Duration
		err  error
	}
	var wg sync.WaitGroup
	answers := make([]answer, len(sessions)*commands)
	begin := time.Now()
	for i := range answers {
		wg.Go(func() {
			_, err := sessions[i%len(sessions)].Invoke(ctx, 0, clGroupKeys, readAllIndices, nil)
			answers[i] = answer{time.Since(begin), err}
		})
	}
	wg.Wait()
	command := t.of("command")
	var errs []error
	for _, a := range answers {
		if a.err != nil {
			errs = append(errs, a.err)
		} else {
			command.took = append(command.took, a.took)
		}
	}
	if len(errs) > 3 {
		errs = append(errs[:3], fmt.Errorf("and %d more", len(errs)-3))
	}
	return errors.Join(errs...)
}
