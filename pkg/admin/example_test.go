package admin_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
)

// Another program connects to the daemon's socket, as root or as the daemon's user.
func ExampleClient() {
	c := admin.NewClient("/run/opcredsd/admin.sock")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := c.Fabrics(ctx)
	switch {
	case errors.Is(err, admin.ErrDenied):
		fmt.Println("run this as root")
	case errors.Is(err, admin.ErrUnreachable):
		fmt.Println("no daemon runs here")
	case err != nil:
		fmt.Println(err)
	}
	for _, f := range list {
		fmt.Println(f.Index, f.Label, f.NodeID)
	}
}
