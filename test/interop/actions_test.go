//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// startAll starts the daemon while node loads matter.js.
func (r *run) startAll() {
	r.t.Helper()
	r.begin("start")
	r.step("daemon ready", func() error { return r.device.start(r.ctx, testProduct) })
	r.step("pairing codes", func() (err error) {
		r.pairing, err = r.device.pairing(r.ctx)
		return err
	})
	r.step("matter.js loaded (since the daemon was ready)", func() error {
		_, err := r.ctl.ready(r.ctx)
		return err
	})
}

// openController creates a controller with its own fabric, or, with founder in a, a
// further node of that controller's fabric.
func (r *run) openController(name string, a args) {
	r.t.Helper()
	a["name"] = name
	var facts struct {
		FabricID        integer `json:"fabricId"`
		NodeID          integer `json:"nodeId"`
		RootPublicKey   octets  `json:"rootPublicKey"`
		RootCertificate octets  `json:"rootCertificate"`
		VendorID        uint16  `json:"vendorId"`
		ICAC            octets  `json:"icac"`
	}
	r.call("controller "+name, "open", a, &facts, func() error {
		if a["icac"] == true && len(facts.ICAC) == 0 {
			return errors.New("no intermediate certificate")
		}
		return nil
	})
	r.fabrics[name] = &fabricOf{
		controller: name,
		fabricID:   facts.FabricID,
		rootKey:    facts.RootPublicKey,
		root:       facts.RootCertificate,
		vendorID:   facts.VendorID,
		icac:       facts.ICAC,
		admin:      facts.NodeID,
		label:      name,
	}
}

// join makes the controller discover and commission the device, without checking
// the network traffic.
func (r *run) join(controller string) {
	r.t.Helper()
	r.call("controller "+controller+" discovers", "discover", args{"controller": controller, "discriminator": r.pairing.Discriminator}, nil, nil)
	var c commissioned
	r.call("commissioning", "commission", args{"controller": controller, "passcode": r.pairing.Passcode}, &c, func() error {
		if c.Refused != "" {
			return fmt.Errorf("%s: %+v", c.Refused, c.Findings)
		}
		r.fabrics[controller].nodeID = c.NodeID
		return nil
	})
}

// openWindow makes a controller open a basic window.
func (r *run) openWindow(controller string) {
	r.t.Helper()
	r.status("OpenBasicCommissioningWindow", controller, command{
		cluster: "AdministratorCommissioning", name: "openBasicCommissioningWindow", timed: true,
		fields: args{"commissioningTimeout": 180},
	}, 0)
}

// bothWork reads the cluster as each of the two controllers, with and without the
// fabric filter.
func (r *run) bothWork() {
	for _, name := range []string{"one", "two"} {
		for _, filtered := range []bool{true, false} {
			r.readCredentials(name, filtered)
		}
	}
	r.operational("one", "two")
}

// commissioned is the result of the commission command.
type commissioned struct {
	Refused  string
	Findings []struct{ Level, Type, Message string }

	NodeID            integer
	RootCaCertificate octets
	NocValue          octets
	IcacValue         octets
	CaseAdminSubject  integer
	AdminVendorID     uint16
}

// discover finds the device by mDNS, and checks that the controller finds the same.
func (r *run) discover(controller string, w window) {
	r.t.Helper()
	r.step(commissionableType+" and subtypes", func() (err error) {
		r.announced, err = r.wire.commissionable(r.ctx, w, r.home)
		return err
	})
	r.call("controller "+controller+" discovers", "discover", args{"controller": controller, "discriminator": w.discriminator, "instance": r.announced}, nil, nil)
}

// commission makes the controller commission the discovered device, and checks the
// announcements after that.
func (r *run) commission(controller string, passcode uint32) {
	r.t.Helper()
	f := r.fabrics[controller]
	var c commissioned
	r.call("commissioning", "commission", args{"controller": controller, "passcode": passcode}, &c, func() (err error) {
		if c.Refused != "" {
			return fmt.Errorf("%s: %+v", c.Refused, c.Findings)
		}
		if !bytes.Equal(c.RootCaCertificate, f.root) || !bytes.Equal(c.IcacValue, f.icac) || c.AdminVendorID != f.vendorID {
			return errors.New("the controller gave other certificates than its own")
		}
		f.nodeID, f.noc, f.admin = c.NodeID, c.NocValue, c.CaseAdminSubject
		f.instance, err = instanceName(f.rootKey, f.fabricID, f.nodeID)
		return err
	})
	var current uint8
	var reports []report
	path := args{"endpoint": 0, "cluster": operationalCredentials, "attribute": attrCurrentFabricIndex}
	r.call("CurrentFabricIndex", "read", args{"controller": controller, "paths": []args{path}}, &reports, func() error {
		return value(reports, operationalCredentials, attrCurrentFabricIndex, &current)
	})
	f.index = current
	r.step(operationalType+" and _I", func() error { return r.wire.operational(r.ctx, f.instance, r.home) })
	r.notCommissionable()
}

// notCommissionable checks that no commissioning window is announced any more.
func (r *run) notCommissionable() {
	r.t.Helper()
	r.step(commissionableType+" gone", func() error {
		return r.wire.gone(r.ctx, commissionableType, r.announced+"."+commissionableType, true, operationalType)
	})
}

// onDevice returns the device's fabrics by index.
func (r *run) onDevice() (all []*fabricOf) {
	for _, f := range r.fabrics {
		if f.index != 0 {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b *fabricOf) int { return int(a.index) - int(b.index) })
	return all
}

func (r *run) readCredentials(controller string, filtered bool) {
	r.t.Helper()
	var reports []report
	a := args{"controller": controller, "fabricFiltered": filtered, "paths": []args{{"endpoint": 0, "cluster": operationalCredentials}}}
	r.call(fmt.Sprintf("0x3E as %s, fabric-filtered %t", controller, filtered), "read", a, &reports, func() error {
		return checkCredentials(reports, r.fabrics[controller], r.onDevice(), filtered)
	})
}

func (r *run) operational(controllers ...string) {
	r.t.Helper()
	for _, name := range controllers {
		r.step(operationalType+" of "+name, func() error {
			return r.wire.operational(r.ctx, r.fabrics[name].instance, r.home)
		})
	}
}

// removeFabric makes by remove the fabric of victim. After the last one, the device
// must be commissionable again; otherwise its instance must be gone.
func (r *run) removeFabric(victim, by string) {
	r.t.Helper()
	f := r.fabrics[victim]
	r.nocResponse(fmt.Sprintf("fabric of %s by %s", victim, by), by, command{name: "removeFabric", fields: args{"fabricIndex": f.index}}, nocOK)
	f.index = 0
	control := operationalType
	if len(r.onDevice()) == 0 {
		control = commissionableType
	}
	r.step("_matter._tcp of "+victim+" gone", func() error {
		return r.wire.gone(r.ctx, operationalType, f.instance+"."+operationalType, false, control)
	})
}

func (r *run) windowStatus(want int) {
	r.t.Helper()
	var reports []report
	path := args{"endpoint": 0, "cluster": administratorCluster, "attribute": 0}
	r.call(fmt.Sprintf("WindowStatus %d", want), "read", args{"controller": "one", "paths": []args{path}}, &reports, func() error {
		var status int
		if err := value(reports, administratorCluster, 0, &status); err != nil {
			return err
		}
		if status != want {
			return fmt.Errorf("WindowStatus %d", status)
		}
		return nil
	})
}

func (r *run) armFailSafe(seconds int) {
	r.t.Helper()
	var res struct{ Response struct{ ErrorCode int } }
	arm := command{cluster: "GeneralCommissioning", name: "armFailSafe", fields: args{"expiryLengthSeconds": seconds, "breadcrumb": 0}}
	r.invoke(fmt.Sprintf("ArmFailSafe for %d s", seconds), "one", arm, &res, func() error {
		if res.Response.ErrorCode != 0 {
			return fmt.Errorf("error code %d", res.Response.ErrorCode)
		}
		return nil
	})
}

// command is a command on endpoint 0, by default of Operational Credentials.
type command struct {
	endpoint  uint16
	cluster   string
	name      string
	fields    args
	timed     bool
	unchecked bool // matter.js would not send it otherwise
}

// invoke expects a response command and decodes it into result.
func (r *run) invoke(text, controller string, c command, result any, check func() error) {
	r.t.Helper()
	r.call(text, "invoke", c.args(controller), result, check)
}

func (c command) args(controller string) args {
	if c.cluster == "" {
		c.cluster = "OperationalCredentials"
	}
	return args{"controller": controller, "endpoint": c.endpoint, "cluster": c.cluster, "command": c.name, "fields": c.fields, "timed": c.timed, "unchecked": c.unchecked}
}

// status expects an Interaction Model status and no response command.
func (r *run) status(text, controller string, c command, want int) {
	r.t.Helper()
	var res struct{ Status, ClusterStatus *int }
	r.invoke(text, controller, c, &res, func() error {
		if res.Status == nil || *res.Status != want {
			return fmt.Errorf("answer %s, want status %#x", describe(res.Status), want)
		}
		return nil
	})
}

func describe(status *int) string {
	if status == nil {
		return "without a status"
	}
	return fmt.Sprintf("status %#x", *status)
}

// nocResponse expects a NOCResponse with the given code.
func (r *run) nocResponse(text, controller string, c command, want int) {
	r.t.Helper()
	var res struct {
		Response *struct {
			StatusCode  int
			FabricIndex uint8
		}
	}
	r.invoke(text, controller, c, &res, func() error {
		switch {
		case res.Response == nil:
			return errors.New("no NOCResponse")
		case res.Response.StatusCode != want:
			return fmt.Errorf("NOCResponse status %d, want %d", res.Response.StatusCode, want)
		case want == nocOK && res.Response.FabricIndex == 0:
			return errors.New("NOCResponse without a fabric index")
		}
		return nil
	})
}
