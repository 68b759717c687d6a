//go:build crash

package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// cutOffFirstStart leaves the files of a first start that was killed just before it
// renamed the new database.
func cutOffFirstStart(b *base) error {
	p := &plan{root: b.home, keeps: true}
	if err := firstStart(b, p); err != nil {
		return err
	}
	log, err := p.recording()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(log, func(o op) bool { return o.kind == renames })
	if i < 0 {
		return errors.New("a first start renames nothing")
	}
	if err := os.RemoveAll(filepath.Join(b.home, stateName)); err != nil {
		return err
	}
	p = &plan{root: b.home}
	p.set(action{kind: killBefore, at: log[i].number})
	if err := firstStart(b, p); !errors.Is(err, errDead) {
		return fmt.Errorf("a first start that was to be killed: %w", err)
	}
	return nil
}

func firstStart(b *base, p *plan) error {
	p.arm()
	n, err := startNode("run", b.home, p)
	if err != nil {
		return err
	}
	defer n.kill()
	return n.serving()
}

// backUp copies the store and then changes it.
func backUp(b *base) error {
	n, err := startNode("run", b.home, nil)
	if err != nil {
		return err
	}
	defer n.kill()
	if err := n.serving(); err != nil {
		return err
	}
	a := &attempt{base: b, node: n, members: b.members}
	if a.client, a.conn, err = newClient(); err != nil {
		return err
	}
	defer a.client.Close()
	ctx, cancel := a.until()
	defer cancel()
	b.backup = b.home + ".backup"
	f, err := os.OpenFile(b.backup, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := operator(a.node).Backup(ctx, f); err != nil {
		return err
	}
	if err := enter(ctx, a); err != nil {
		return err
	}
	if err := a.session.UpdateFabricLabel(ctx, "cellar"); err != nil {
		return err
	}
	if b.restored, err = readFile(b.backup, store.Options{ReadOnly: true}); err != nil {
		return err
	}
	return errors.Join(n.stop(), b.addDevices(3))
}

// addDevices adds records of a bridge to the store of the stopped node.
func (b *base) addDevices(count int) error {
	st, err := store.Open(filepath.Join(b.home, stateName, store.FileName), store.Options{})
	if err != nil {
		return err
	}
	err = st.Update(func(tx *store.Tx) error {
		c, err := tx.Composition()
		if err != nil {
			return err
		}
		c.Version, c.Digest = c.Version+1, []byte{byte(c.Version)}
		if err := tx.PutComposition(c); err != nil {
			return err
		}
		for range count {
			n, err := tx.ReserveEndpoints(2)
			if err != nil {
				return err
			}
			err = errors.Join(
				tx.PutDevice(fmt.Sprintf("api:lamp-%d", n), bytes.Repeat([]byte{byte(n)}, 3000)),
				tx.PutEndpoint(n, []byte{byte(n)}))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, st.Close())
}

// base returns the scenario's base. It is created once and never changed.
func (s *scenario) base() (*base, error) {
	s.once.Do(func() {
		if s.made, s.err = newBase(s); s.err != nil {
			s.err = fmt.Errorf("making the base: %w", s.err)
		} else if s.err = s.made.rehearse(); s.err != nil {
			s.err = fmt.Errorf("undisturbed: %w", s.err)
		}
	})
	return s.made, s.err
}

// rehearse runs the scenario undisturbed and records its calls.
func (b *base) rehearse() error {
	p := &plan{keeps: true}
	o, err := b.play(p)
	if err != nil {
		return err
	}
	log, err := p.recording()
	if err != nil {
		return err
	}
	if b.calls = p.count(); b.calls == 0 || o != after {
		return fmt.Errorf("%d calls, and the state before or after is %d: that can show nothing", b.calls, o)
	}
	for _, o := range log[p.start:] {
		if o.kind == syncs {
			b.syncs = append(b.syncs, o.number)
		}
	}
	return nil
}

// newBase creates a node with some fabrics.
func newBase(s *scenario) (b *base, err error) {
	b = &base{s: s, home: filepath.Join(workDir, fmt.Sprintf("base%d", attempts.Add(1)))}
	if err := os.Mkdir(b.home, 0o700); err != nil {
		return nil, err
	}
	if !(s.fromStart && s.fabrics == 0) {
		if err := b.populate(s.fabrics); err != nil {
			return nil, err
		}
	}
	if s.prepare != nil {
		if err := s.prepare(b); err != nil {
			return nil, err
		}
	}
	b.state, err = readState(filepath.Join(b.home, stateName), store.Options{ReadOnly: true})
	b.state.bridged = s.bridged
	return b, err
}

// populate starts a node and commissions it into fabrics.
func (b *base) populate(fabrics int) error {
	n, err := startNode("run", b.home, nil)
	if err != nil {
		return err
	}
	defer n.kill()
	if err := n.serving(); err != nil {
		return err
	}
	a := &attempt{base: b, node: n}
	if a.client, a.conn, err = newClient(); err != nil {
		return err
	}
	defer a.client.Close()
	ctx, cancel := a.until()
	defer cancel()
	p, err := operator(a.node).Pairing(ctx)
	if err != nil {
		return err
	}
	b.passcode = p.Passcode
	for i := range fabrics {
		if i > 0 {
			if err := a.session.OpenBasicWindow(ctx, 180); err != nil {
				return err
			}
		}
		authority, err := commissioner.NewAuthority(commissioner.AuthorityOptions{ICAC: i == 0})
		if err != nil {
			return err
		}
		done, err := a.client.Commission(ctx, n.addr(), b.passcode, authority)
		if err != nil {
			return err
		}
		a.session = done.CASE
		b.members = append(b.members, member{authority, done.Node, done.Fabric})
	}
	if fabrics > 0 {
		err = writeAttribute(ctx, a.session, clusterBasicInformation, attrNodeLabel, func(w *tlv.Writer, t tlv.Tag) { w.Text(t, "cellar") })
		if err != nil {
			return err
		}
	}
	return errors.Join(n.stop(), b.addDevices(2))
}
