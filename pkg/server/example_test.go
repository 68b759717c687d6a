package server_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// This program is a Matter node until it is interrupted.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	srv, err := server.New(server.Options{
		StateDir: "/var/lib/my-bridge",
		Product:  server.Product{VendorName: "ACME", ProductName: "Bridge"},
		Log:      slog.Default(),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if codes, err := srv.Pairing(); err == nil && !srv.Commissioned() {
		fmt.Println(codes.QR, codes.Manual)
	}
	if err := srv.Run(ctx, func() { fmt.Println("controllers can find it") }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A program can send its own node the requests that the operator's commands send to
// the daemon.
func ExampleServer_Operator() {
	srv, dir := exampleNode()
	defer os.RemoveAll(dir)
	srv.Start()
	defer srv.Stop()

	ctx := context.Background()
	op := srv.Operator()
	st, err := op.Status(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(st.Product.VendorName, st.Product.ProductName, "is for", st.Attestation.Kind)
	fmt.Printf("window %s, %d of %d fabrics\n", st.Window.Kind, len(st.Fabrics), st.MaxFabrics)

	if err := op.CloseWindow(ctx); err != nil {
		fmt.Println(err)
		return
	}
	w, err := op.OpenWindow(ctx, admin.WindowRequest{Seconds: 300, Enhanced: true})
	fmt.Println("codes for one window:", len(w.QR), "and", len(w.Manual), "characters", err)
	// Output:
	// ACME Bridge is for TEST
	// window initial, 0 of 16 fabrics
	// codes for one window: 22 and 11 characters <nil>
}

// The key of the device attestation certificate can be kept outside of the store:
// in a TPM, a PKCS #11 token, or another process.
func ExampleDACKey() {
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	// A factory has done this once.
	material, key := exampleMaterial()
	elsewhere := &server.DACKey{
		Where: "the TPM",
		Open:  func() (attestation.Signer, error) { return attestation.NewSigner(key, rand.Reader), nil },
	}
	node, err := operator.OpenOffline(dir, provision.Make, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	node.DACKey = elsewhere
	if _, err = node.ImportAttestation(context.Background(), material); err != nil {
		fmt.Println(err)
	}
	if err := node.Close(); err != nil {
		fmt.Println(err)
	}

	srv, err := server.New(server.Options{StateDir: dir, AnyPort: true, Interfaces: []string{"lo"}, DACKey: elsewhere})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Stop()
	srv.Start()
	a, err := srv.Operator().Attestation(context.Background())
	fmt.Println("the key is in", a.Key, a.Faults, err)
	// Output:
	// the key is in the TPM [] <nil>
}

// Metrics of the program are exported together with those of the node.
func ExampleOptions_collectors() {
	devices := prometheus.NewGauge(prometheus.GaugeOpts{Name: "mybridge_devices", Help: "Devices behind the bridge."})
	opt := server.Options{
		StateDir:    "/var/lib/my-bridge",
		MetricsAddr: "127.0.0.1:9540",
		Collectors:  []prometheus.Collector{devices},
	}
	fmt.Println(opt.Check())
	// Output: <nil>
}

// exampleNode returns a node in a new directory that uses no real network.
func exampleNode() (*server.Server, string) {
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		panic(err)
	}
	discriminator := uint16(3840)
	srv, err := server.New(server.Options{
		StateDir:      dir,
		AnyPort:       true,
		Interfaces:    []string{"lo"},
		Product:       server.Product{VendorName: "ACME", ProductName: "Bridge"},
		Passcode:      20302030,
		Discriminator: &discriminator,
	})
	if err != nil {
		panic(err)
	}
	return srv, dir
}

// exampleMaterial returns the material that a factory issues; here it is for
// development.
func exampleMaterial() (admin.AttestationMaterial, *mcrypto.PrivateKey) {
	a, err := attestation.Generate(rand.Reader, server.DefaultVendorID, server.DefaultProductID, time.Now())
	if err != nil {
		panic(err)
	}
	key, err := mcrypto.ParsePrivateKey(a.Key)
	if err != nil {
		panic(err)
	}
	return admin.AttestationMaterial{DAC: a.DAC, PAI: a.PAI, CD: a.CD}, key
}
