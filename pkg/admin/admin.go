// Package admin is the daemon's local interface: HTTP with JSON on a Unix
// socket, and its client. Whoever may open the socket, mode 0600, may do
// everything the operator may do.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Pairing is what a commissioner needs while a window with the node's own
// passcode is open.
type Pairing struct {
	QR            string `json:"qr"`
	Manual        string `json:"manual"`
	Discriminator uint16 `json:"discriminator"`
	Passcode      uint32 `json:"passcode"`
}

// Fabric is one row of the fabric table. 64-bit identifiers are 16 hex digits.
type Fabric struct {
	Index              matter.FabricIndex `json:"index"`
	FabricID           string             `json:"fabric_id"`
	NodeID             string             `json:"node_id"`
	VendorID           matter.VendorID    `json:"vendor_id"`
	Label              string             `json:"label"`
	RootPublicKey      string             `json:"root_public_key"` // hex, 65 octets
	CompressedFabricID string             `json:"compressed_fabric_id"`
	NOCNotAfter        *time.Time         `json:"noc_not_after"` // null: no end
}

// Node is what the admin socket asks of the node.
type Node interface {
	Pairing(ctx context.Context) (Pairing, error)
	Fabrics(ctx context.Context) ([]Fabric, error)
}

// Listen binds the socket at path, mode 0600, in place of one that nobody
// listens on any more.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("admin-socket: %w", err)
	}
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("admin-socket: another process listens on %s", path)
	} else if !errors.Is(err, os.ErrNotExist) {
		if st, serr := os.Lstat(path); serr == nil && st.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("admin-socket: %s is there and is not a socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("admin-socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin-socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("admin-socket: %w", err)
	}
	return l, nil
}

// Handler serves the API over n.
func Handler(n Node) http.Handler {
	mux := http.NewServeMux()
	handle(mux, "GET /v1/pairing", n.Pairing)
	handle(mux, "GET /v1/fabrics", n.Fabrics)
	return mux
}

type failure struct {
	Error string `json:"error"`
}

func handle[T any](mux *http.ServeMux, pattern string, f func(context.Context) (T, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		v, err := f(r.Context())
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			_ = json.NewEncoder(w).Encode(failure{err.Error()})
			return
		}
		_ = json.NewEncoder(w).Encode(v)
	})
}

// ErrUnreachable says that no daemon listens on the socket.
var ErrUnreachable = errors.New("the daemon cannot be reached")

// Client asks a running daemon.
type Client struct {
	http http.Client
	path string
}

// NewClient returns a client of the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{http: http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: 10 * time.Second}, path: path}
}

// Pairing returns the onboarding payload.
func (c *Client) Pairing(ctx context.Context) (p Pairing, err error) {
	return p, c.get(ctx, "pairing", &p)
}

// Fabrics returns the fabric table.
func (c *Client) Fabrics(ctx context.Context) (list []Fabric, err error) {
	return list, c.get(ctx, "fabrics", &list)
}

func (c *Client) get(ctx context.Context, name string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin/v1/"+name, nil)
	if err != nil {
		return err
	}
	rsp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w at %s", ErrUnreachable, c.path)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		var f failure
		if err := json.NewDecoder(rsp.Body).Decode(&f); err != nil || f.Error == "" {
			return fmt.Errorf("the daemon answered %s", rsp.Status)
		}
		return errors.New(f.Error)
	}
	return json.NewDecoder(rsp.Body).Decode(v)
}
