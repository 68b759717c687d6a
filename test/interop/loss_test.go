//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// lossRunsVar is the number of commissionings in TestLoss for each loss.
const lossRunsVar = "INTEROP_LOSS_RUNS"

// setLoss makes the link lose a percentage of packets in each direction, by netem
// or, if the kernel does not have it, by a rule for incoming packets.
func (r *run) setLoss(percent int) error {
	return r.setLossOn(link, percent, r.device.ns, r.ctl.ns)
}

// setLossOn does the same with links of the same name in several namespaces.
func (r *run) setLossOn(name string, percent int, ends ...*namespace) error {
	for _, n := range ends {
		err := n.Do(func() error {
			eth, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			attrs := netlink.QdiscAttrs{LinkIndex: eth.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
			return netlink.QdiscReplace(netlink.NewNetem(attrs, netlink.NetemQdiscAttrs{Loss: float32(percent)}))
		})
		if errors.Is(err, os.ErrNotExist) {
			err = n.dropIncoming(r.ctx, name, percent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *namespace) dropIncoming(ctx context.Context, name string, percent int) error {
	for _, tool := range []string{"iptables", "ip6tables"} {
		if _, err := n.output(ctx, tool, "-F", "INPUT"); err != nil {
			return err
		}
		if percent == 0 {
			continue
		}
		probability := fmt.Sprintf("0.%02d", percent)
		if _, err := n.output(ctx, tool, "-A", "INPUT", "-i", name, "-m", "statistic", "--mode", "random", "--probability", probability, "-j", "DROP"); err != nil {
			return err
		}
	}
	return nil
}

// TestLoss commissions over a link that loses packets.
func TestLoss(t *testing.T) {
	runs := 2
	if s := os.Getenv(lossRunsVar); s != "" {
		var err error
		if runs, err = strconv.Atoi(s); err != nil || runs < 1 {
			t.Fatalf("%s=%s is no number of runs", lossRunsVar, s)
		}
	}
	for _, percent := range []int{20, 30} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			t.Parallel()
			r := newRun(t)
			r.ctl.limit = 5 * time.Minute
			r.startAll()
			r.openController("one", args{})
			attempts := 0
			for i := range runs {
				r.begin(fmt.Sprintf("%d %% loss, %d of %d", percent, i+1, runs))
				r.step("loss begins", func() error { return r.setLoss(percent) })
				attempts += r.joinSomehow("one")
				r.step("loss ends", func() error { return r.setLoss(0) })
				r.leave("one")
			}
			r.step("daemon stopped", r.device.stop)
			fmt.Fprintf(r.summary, "%d steps, all passed; %d commissionings of %d, in %d attempts\n", r.steps, runs, runs, attempts)
		})
	}
}

// tryAgainFor is how long a commissioner tries. After a failed attempt the device
// rejects others until the fail-safe expires.
const tryAgainFor = 5 * time.Minute

// joinSomehow commissions the device, repeats failed attempts, and returns the
// number of attempts. Nothing is done on the device. At a loss of 30 % in each
// direction, one message in 400 is lost with all the retransmissions of MRP, and a
// commissioning has about two dozen messages.
func (r *run) joinSomehow(controller string) (attempts int) {
	r.t.Helper()
	a := args{"controller": controller, "discriminator": r.pairing.Discriminator, "timeoutMs": 60000}
	for end := time.Now().Add(tryAgainFor); ; {
		attempts++
		var c commissioned
		_, err := r.ctl.call(r.ctx, "discover", a, nil)
		if err == nil {
			var got answer
			got, err = r.ctl.call(r.ctx, "commission", args{"controller": controller, "passcode": r.pairing.Passcode}, &c)
			if err == nil && c.Refused == "" {
				r.record(got.MS, fmt.Sprintf("commissioning, attempt %d", attempts))
				return attempts
			}
			r.record(got.MS, fmt.Sprintf("attempt %d failed: %v %s", attempts, err, c.Refused))
		}
		if time.Now().After(end) {
			r.fail("commissioning", fmt.Errorf("%d attempts: %v %s", attempts, err, c.Refused))
		}
	}
}

// leave removes the controller's fabric.
func (r *run) leave(controller string) {
	r.t.Helper()
	var reports []report
	var index uint8
	path := args{"endpoint": 0, "cluster": operationalCredentials, "attribute": attrCurrentFabricIndex}
	r.call("CurrentFabricIndex", "read", args{"controller": controller, "paths": []args{path}}, &reports, func() error {
		return value(reports, operationalCredentials, attrCurrentFabricIndex, &index)
	})
	r.nocResponse("fabric removed", controller, command{name: "removeFabric", fields: args{"fabricIndex": index}}, nocOK)
	r.call("controller forgets", "forget", args{"controller": controller}, nil, nil)
}
