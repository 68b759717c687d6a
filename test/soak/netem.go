package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
)

// netemTries is after how many attempts a commissioner gives up.
const netemTries = 6

// runNetem commissions the device again and again over a link that loses datagrams.
// The window is opened, and the fabric removed, while it loses none.
func runNetem(ctx context.Context, s *settings) error {
	r, err := newRig(s)
	if err != nil {
		return err
	}
	defer r.remove()
	c, err := newClient()
	if err != nil {
		return err
	}
	defer c.Close()
	home, err := commission(ctx, c, deviceAt(deviceULA))
	if err != nil {
		return fmt.Errorf("commissioning: %w", err)
	}
	var t timings
	first, attempts := 0, 0
	var failures []string
	for n := range s.netem {
		if err := home.s.OpenBasicWindow(ctx, 900); err != nil {
			return fmt.Errorf("window: %w", err)
		}
		for try := 1; ; try++ {
			attempts++
			var m *member
			err := t.do("commission", func() (err error) {
				m, err = r.lossyCommission(ctx, c, s.loss)
				return err
			})
			if err == nil {
				if try == 1 {
					first++
				}
				if err := home.s.RemoveFabric(ctx, m.index); err != nil {
					return fmt.Errorf("removal: %w", err)
				}
				m.s.Forget()
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failures = append(failures, err.Error())
			fmt.Printf("commissioning %d, attempt %d: %v\n", n+1, try, err)
			if try == netemTries {
				return errors.New("given up")
			}
			if err := r.recovered(ctx, home); err != nil {
				return err
			}
		}
	}
	table("", []string{"loss, each way", "commissionings", "at the first attempt", "attempts", "median, s", "longest, s"},
		[]string{
			fmt.Sprintf("%d %%", s.loss), fmt.Sprint(s.netem), fmt.Sprint(first), fmt.Sprint(attempts),
			fmt.Sprintf("%.1f", t.of("commission").at(.5).Seconds()), fmt.Sprintf("%.1f", t.of("commission").at(1).Seconds()),
		})
	for _, f := range failures {
		fmt.Println("*", strings.ReplaceAll(f, "\n", ": "))
	}
	return nil
}

// lossyCommission is one attempt. After a failure the commissioner's sessions are
// closed over a link that loses nothing, so that nobody has to wait for the end of
// the fail-safe.
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
	s, _, err := c.CASE(ctx, at, a, done.Node, nil)
	if err != nil {
		return nil, fmt.Errorf("CASE: %w", err)
	}
	open = append(open, s)
	if err := s.CommissioningComplete(ctx); err != nil {
		return nil, fmt.Errorf("CommissioningComplete: %w", err)
	}
	return &member{c: c, a: a, at: at, node: done.Node, index: done.Fabric, s: s}, nil
}

// recovered waits until nothing is left of a commissioning that failed.
func (r *rig) recovered(ctx context.Context, home *member) error {
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(time.Second) {
		v, err := r.measure()
		if err != nil {
			return err
		}
		if v.Fabrics == 1 && v.Window == 1 && v.Sessions <= 1 {
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
