package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	netemTries   = 6 // attempts after which a commissioner gives up
	connectTries = 3 // at the end of an attempt
	noFailSafe   = 3 // CommissioningError
)

// runNetem repeatedly commissions the device over a link that loses datagrams. The
// window is opened and the fabric removed without loss.
func runNetem(ctx context.Context, s *settings) error {
	r, home, err := newCommissioned(ctx, s)
	if err != nil {
		return err
	}
	defer r.remove()
	l := lossy{rig: r, c: home.c, home: home}
	first := 0
	for n := range s.netem {
		tries, err := l.persist(ctx)
		if err != nil {
			return fmt.Errorf("commissioning %d: %w", n+1, err)
		}
		if tries == 1 {
			first++
		}
		fmt.Printf("commissioning %d of %d: %d attempts\n", n+1, s.netem, tries)
	}
	took := l.times.of("commission")
	table([]string{"loss, each way", "commissionings", "succeeded", "at the first attempt", "attempts", "median, s", "longest, s"},
		[]string{
			fmt.Sprintf("%d %%", s.loss), fmt.Sprint(s.netem), fmt.Sprint(len(took.took)), fmt.Sprint(first), fmt.Sprint(len(took.took) + took.failed),
			fmt.Sprintf("%.1f", took.at(.5).Seconds()), fmt.Sprintf("%.1f", took.at(1).Seconds()),
		})
	for _, f := range l.failures {
		fmt.Println("*", strings.ReplaceAll(f, "\n", ": "))
	}
	return nil
}

// lossy is a device with a link that loses datagrams during commissioning.
type lossy struct {
	*rig
	c        *commissioner.Client
	home     *member
	times    timings
	failures []string
}

// persist commissions the device, in several attempts if necessary, and removes the
// fabric.
func (l *lossy) persist(ctx context.Context) (tries int, err error) {
	if err := l.home.s.OpenBasicWindow(ctx, 900); err != nil {
		return 0, fmt.Errorf("window: %w", err)
	}
	for tries = 1; ; tries++ {
		var m *member
		err := l.times.do("commission", func() (err error) {
			m, err = l.lossyCommission(ctx, l.c, l.loss)
			return err
		})
		if err == nil {
			if err := l.home.s.RemoveFabric(ctx, m.index); err != nil {
				return tries, fmt.Errorf("removal: %w", err)
			}
			m.s.Forget()
			return tries, nil
		}
		l.failures = append(l.failures, err.Error())
		fmt.Printf("attempt %d: %v\n", tries, err)
		if tries == netemTries {
			return tries, errors.New("given up")
		}
		if err := errors.Join(ctx.Err(), l.recovered(ctx, l.home)); err != nil {
			return tries, err
		}
	}
}

// lossyCommission makes one attempt. After a failure it closes the commissioner's
// sessions over a link without loss, so that nobody has to wait for the end of the
// fail-safe.
func (r *rig) lossyCommission(ctx context.Context, c *commissioner.Client, loss int) (_ *member, err error) {
	a, err := commissioner.NewAuthority(commissioner.AuthorityOptions{})
	if err != nil {
		return nil, err
	}
	if err := r.net.lose(loss); err != nil {
		return nil, err
	}
	var open []*commissioner.Session
	defer func() {
		err = errors.Join(err, r.net.lose(0))
		if err != nil {
			for _, s := range open {
				s.Close()
			}
		}
	}()
	at := deviceAt(deviceULA)
	p, err := c.PASE(ctx, at, passcode)
	if err != nil {
		return nil, fmt.Errorf("PASE: %w", err)
	}
	open = append(open, p)
	done, err := p.Join(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := r.complete(ctx, c, a, done.Node, &open); err != nil {
		return nil, err
	}
	return &member{c: c, a: a, at: at, node: done.Node, index: done.Fabric, s: open[len(open)-1]}, nil
}

// complete ends a commissioning over CASE. As controllers do, it connects again
// after a failure while the fail-safe is armed, and if the answer was lost, it asks
// the node whether it is commissioned.
func (r *rig) complete(ctx context.Context, c *commissioner.Client, a *commissioner.Authority, node matter.NodeID, open *[]*commissioner.Session) error {
	var errs error
	for range connectTries {
		s, _, err := c.CASE(ctx, deviceAt(deviceULA), a, node, nil)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("CASE: %w", err))
			continue
		}
		*open = append(*open, s)
		switch err = s.CommissioningComplete(ctx); {
		case err == nil:
			return nil
		case errors.Is(err, commissioner.CommissioningError(noFailSafe)):
			return nil // it is complete, and the answer was lost
		}
		errs = errors.Join(errs, fmt.Errorf("CommissioningComplete: %w", err))
	}
	return errs
}

// recovered waits until nothing is left of a failed commissioning: an unfinished
// PASE handshake blocks others for a minute.
func (r *rig) recovered(ctx context.Context, home *member) error {
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(time.Second) {
		v, err := r.measure()
		if err != nil {
			return err
		}
		if v.Fabrics == 1 && v.Window == 1 && v.Sessions <= 1 && v.Exchanges == 0 {
			return nil
		}
		if v.Window == 0 {
			if err := home.s.OpenBasicWindow(ctx, 900); err != nil {
				return fmt.Errorf("window: %w", err)
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("not as before: %+v", v)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
