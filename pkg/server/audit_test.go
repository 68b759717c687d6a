package server_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
)

// slowRand is a slow source of randomness.
type slowRand struct{ delay *atomic.Int64 }

func (r slowRand) Read(b []byte) (int, error) {
	time.Sleep(time.Duration(r.delay.Load()))
	return io.ReadFull(rand.Reader, b)
}

// If an operator gives up while the node carries out the request, the operator and
// the audit log get its outcome, which is not a failure. If the operator gives up
// before, nothing changes.
func TestOperatorThatGivesUp(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		var delay atomic.Int64
		r.stop()
		r.opt.Rand = slowRand{&delay}
		r.start()
		r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
		op := r.srv.Operator()

		// The reset draws a unique id, which takes a second.
		delay.Store(int64(time.Second))
		ctx, cancel := context.WithTimeout(r.ctx, 500*time.Millisecond)
		defer cancel()
		err := op.FactoryReset(ctx)
		delay.Store(0)
		if ctx.Err() == nil {
			t.Fatal("the reset did not take longer than the operator waits")
		}
		if n := r.inspect().Fabrics; err != nil || n != 0 {
			t.Errorf("the reset was made, %d fabrics are left, and the operator gets: %v", n, err)
		}

		r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
		release := make(chan struct{})
		go func() {
			_ = r.srv.Do(func() error { <-release; return nil })
		}()
		ctx, cancel = context.WithTimeout(r.ctx, 500*time.Millisecond)
		defer cancel()
		r.wait(time.Millisecond)
		if err := op.FactoryReset(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the operator gave up before the node was free: %v", err)
		}
		close(release)
		if n := r.inspect().Fabrics; n != 1 {
			t.Errorf("%d fabrics after a reset that the operator gave up", n)
		}
	})
}
