package operator_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// The store of a node that is not running can be read, backed up and changed.
func ExampleOpenOffline() {
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	discriminator := uint16(3840)
	srv, err := server.New(server.Options{StateDir: dir, AnyPort: true, Interfaces: []string{"lo"}, Passcode: 20302030, Discriminator: &discriminator})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := srv.Stop(); err != nil {
		fmt.Println(err)
		return
	}

	node, err := operator.OpenOffline(dir, provision.Read, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	ctx := context.Background()
	codes, err := node.Pairing(ctx)
	fmt.Println(codes.Passcode, codes.Discriminator, err)
	fmt.Println("damage:", node.CheckStore(ctx))
	// Output:
	// 20302030 3840 <nil>
	// damage: <nil>
}
