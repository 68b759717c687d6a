//go:build interop

package interop

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// The minimum that a node must serve at the same time (section 2.11): five fabrics
// with three controllers each, and four subjects in an access control entry.
const (
	homes             = 5
	controllersOfHome = 3
	subjectsOfEntry   = 4
)

// TestHomes commissions the device into five fabrics with three controllers each.
// All of them have a session and a subscription at the same time. Then one
// controller disappears, and the device is killed.
func TestHomes(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.startAll()
	var all []string
	for h := range homes {
		all = append(all, r.moveIn(h, controllersOfHome)...)
	}

	r.begin("five homes")
	attributes := make(map[string]int)
	for _, name := range all {
		attributes[name] = len(r.subscribe(name, 0, 60).Attributes)
	}
	r.setLabel(all[0], "ours")
	for _, name := range all {
		r.report("report to "+name, name, 2*time.Second, alone(1, labelled("ours")))
	}
	for _, name := range all {
		r.readLabel(name, "ours")
	}

	r.begin("five homes, one controller vanishes")
	gone := all[4]
	r.call("controller "+gone+" vanishes", "vanish", args{"controller": gone}, nil, nil)
	rest := append(append([]string(nil), all[:4]...), all[5:]...)
	r.setLabel(all[0], "still ours")
	for _, name := range rest {
		r.report("report to "+name, name, 2*time.Second, alone(1, labelled("still ours")))
	}
	r.call("new session of "+gone, "reconnect", args{"controller": gone}, nil, nil)
	attributes[gone] = len(r.subscribe(gone, 0, 60).Attributes)

	r.begin("five homes, SIGKILL")
	r.step("daemon killed", r.device.kill)
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	for _, name := range all {
		r.report("the device calls "+name, name, 30*time.Second, reportsAll(attributes[name], labelled("still ours")))
	}
	r.setLabel(all[0], "ours again")
	for _, name := range all {
		r.report("report to "+name, name, 2*time.Second, alone(1, labelled("ours again")))
	}
	r.step("daemon stopped", r.device.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

// moveIn commissions the device into a fabric and gives more nodes of it Administer
// access. It returns the names of all its controllers, the commissioner first.
func (r *run) moveIn(home, controllers int) (names []string) {
	r.t.Helper()
	r.begin(fmt.Sprintf("home %d", home+1))
	founder := fmt.Sprintf("home%d", home+1)
	r.openController(founder, args{"icac": home%2 == 1})
	if home > 0 {
		r.openWindow("home1")
	}
	r.join(founder)
	names = []string{founder}
	subjects := []any{integerArg(r.fabrics[founder].admin)}
	for i := 1; i < controllers; i++ {
		name := fmt.Sprintf("%s%c", founder, 'a'+i)
		r.openController(name, args{"founder": founder})
		names, subjects = append(names, name), append(subjects, integerArg(r.fabrics[name].admin))
	}
	var res struct{ Status int }
	var entries []args
	for some := range slices.Chunk(subjects, subjectsOfEntry) {
		entries = append(entries, args{"privilege": 5, "authMode": 2, "subjects": some, "targets": nil})
	}
	r.call("access control list", "write", args{"controller": founder, "cluster": "AccessControl", "attribute": "acl", "value": entries}, &res, func() error {
		if res.Status != 0 {
			return fmt.Errorf("status %#x", res.Status)
		}
		return nil
	})
	for _, name := range names[1:] {
		r.call(name+" knows the device", "adopt", args{"controller": name, "nodeId": integerArg(r.fabrics[founder].nodeID)}, nil, nil)
		r.call("session of "+name, "reconnect", args{"controller": name}, nil, nil)
	}
	return names
}

func integerArg(i integer) any { return map[string]string{"int": fmt.Sprint(uint64(i))} }

// readLabel reads the node label.
func (r *run) readLabel(controller, want string) {
	r.t.Helper()
	var reports []report
	path := args{"endpoint": 0, "cluster": basicInformation, "attribute": attrNodeLabel}
	r.call("NodeLabel as "+controller, "read", args{"controller": controller, "paths": []args{path}}, &reports, func() error {
		var label string
		if err := value(reports, basicInformation, attrNodeLabel, &label); err != nil {
			return err
		}
		if label != want {
			return errors.New(label)
		}
		return nil
	})
}
