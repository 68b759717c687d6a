package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/opcredsd/opcredsd/pkg/onboarding"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// A program that is a Matter node, until it is interrupted.
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

// The codes of a label, without a node.
func Example_codes() {
	p := onboarding.Payload{VendorID: 0xFFF1, ProductID: 0x8001, Discriminator: 3840, Passcode: 20202021}
	fmt.Println(p.QR())
	fmt.Println(p.Manual())
	// Output:
	// MT:-24J0AFN00KA0648G00
	// 34970112332
}
