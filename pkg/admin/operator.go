package admin

import (
	"context"
	"io"
	"log/slog"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Operator has a function for each request of an operator. The functions come from
// a running node, from a [Client], or from the store of a node that is not running.
// A function may be nil; see [Operator.Otherwise]. The operator can correct an
// error that wraps [ErrRefused].
//
// A new request needs a field and a route here, and a function in package operator.
type Operator struct {
	// Status returns the current state of the node.
	Status func(ctx context.Context) (Status, error)
	// Pairing returns the node's own onboarding payload.
	Pairing func(ctx context.Context) (Pairing, error)
	// Fabrics returns the fabric table.
	Fabrics func(ctx context.Context) ([]Fabric, error)
	// RemoveFabric removes a fabric.
	RemoveFabric func(ctx context.Context, i matter.FabricIndex) error
	// OpenWindow opens a commissioning window.
	OpenWindow func(ctx context.Context, r WindowRequest) (Window, error)
	// CloseWindow closes the commissioning window.
	CloseWindow func(ctx context.Context) error
	// Attestation returns the attestation material.
	Attestation func(ctx context.Context) (Attestation, error)
	// VerifyAttestation returns the attestation material, verified with roots and
	// signers of the request in addition to the node's.
	VerifyAttestation func(ctx context.Context, t AttestationTrust) (Attestation, error)
	// ImportAttestation replaces the attestation material. Fabrics are kept.
	ImportAttestation func(ctx context.Context, m AttestationMaterial) (AttestationChange, error)
	// GenerateAttestation replaces the attestation material with new material for
	// development.
	GenerateAttestation func(ctx context.Context, r GenerateRequest) (AttestationChange, error)
	// FactoryReset removes all fabrics and the settings of controllers.
	FactoryReset func(ctx context.Context) error
	// CheckStore checks the store.
	CheckStore func(ctx context.Context) error
	// Backup writes a copy of the store to w.
	Backup func(ctx context.Context, w io.Writer) error
	// SetLogLevel changes the minimum level of the node's log.
	SetLogLevel func(ctx context.Context, l LogLevel) error
	// Reload reads the configuration again. If it is wrong, nothing changes and the
	// error wraps [ErrConfiguration].
	Reload func(ctx context.Context) (Reloaded, error)
	// Devices returns the bridged devices. IgnoredDevices returns what sources
	// offer and the node does not show.
	Devices        func(ctx context.Context) ([]bridge.View, error)
	IgnoredDevices func(ctx context.Context) ([]device.Ignored, error)
	// SetDevice reports values of a device as its source would. PressDevice reports
	// a gesture.
	SetDevice   func(ctx context.Context, v DeviceValues) error
	PressDevice func(ctx context.Context, g DeviceGesture) error
	// RenameDevice gives a device the operator's name. RemoveDevice removes one.
	RenameDevice func(ctx context.Context, n DeviceName) error
	RemoveDevice func(ctx context.Context, r DeviceRemoval) error
	// HideDevice hides a device from controllers, or shows it again. IdentifyDevice has one
	// make itself known where it is: it blinks or beeps, if it can.
	HideDevice     func(ctx context.Context, h DeviceHiding) error
	IdentifyDevice func(ctx context.Context, i DeviceIdentification) error
	// WatchDevices writes events of devices, one JSON object per line, until ctx
	// ends.
	WatchDevices func(ctx context.Context, w io.Writer) error
	// WebURL returns an address of the page for browsers that lets somebody in once.
	WebURL func(ctx context.Context) (WebURL, error)
	// Health returns nil if the node can serve controllers.
	Health func(ctx context.Context) error
}

// routes returns the requests as HTTP requests below /v1/. A request with a name in
// the second column changes something and is logged with that name.
func routes(o *Operator) []route {
	return []route{
		readable(query("GET status", "", &o.Status)),
		query("GET pairing", "", &o.Pairing),
		readable(query("GET fabrics", "", &o.Fabrics)),
		indexed("DELETE fabrics/{index}", "remove fabric", &o.RemoveFabric),
		call("POST window", "open window", &o.OpenWindow),
		do("DELETE window", "close window", &o.CloseWindow),
		readable(query("GET attestation", "", &o.Attestation)),
		call("POST attestation/verify", "", &o.VerifyAttestation),
		call("PUT attestation", "import attestation", &o.ImportAttestation),
		call("POST attestation/generate", "generate attestation", &o.GenerateAttestation),
		do("POST factory-reset", "factory reset", &o.FactoryReset),
		readable(do("GET store/check", "", &o.CheckStore)),
		stream("GET store/backup", &o.Backup),
		send("PUT log-level", "log level", &o.SetLogLevel),
		query("POST reload", "reload configuration", &o.Reload),
		readable(query("GET devices", "", &o.Devices)),
		readable(query("GET devices/ignored", "", &o.IgnoredDevices)),
		send("POST devices/set", "set device", &o.SetDevice),
		send("POST devices/press", "press device", &o.PressDevice),
		send("POST devices/rename", "rename device", &o.RenameDevice),
		send("POST devices/remove", "remove device", &o.RemoveDevice),
		send("POST devices/hide", "hide device", &o.HideDevice),
		send("POST devices/identify", "identify device", &o.IdentifyDevice),
		readable(stream("GET devices/watch", &o.WatchDevices)),
		query("POST web/token", "web token", &o.WebURL),
		readable(do("GET health", "", &o.Health)),
	}
}

// Otherwise replaces all functions that are nil with functions that return err.
func (o *Operator) Otherwise(err error) {
	for _, r := range routes(o) {
		r.otherwise(err)
	}
}

// Audited returns the same functions, of which those that change something write to log
// that they were called, as whom [WithActor] says, and what came of it.
func (o Operator) Audited(log *slog.Logger) Operator {
	for _, r := range routes(&o) {
		r.audited(log)
	}
	return o
}
