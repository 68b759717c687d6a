package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// ErrUnreachable says that no daemon answers on the socket.
var ErrUnreachable = errors.New("the daemon cannot be reached")

// ErrDenied says that there may be a daemon, which this user may not ask. Errors
// that wrap it wrap ErrUnreachable, too.
var ErrDenied = fmt.Errorf("%w", ErrUnreachable)

// answerTime is how long the client waits for an answer to begin. It is longer
// than a busy daemon takes, and ends the wait for one that hangs.
const answerTime = 30 * time.Second

// Client asks a running daemon. Its methods return errors that wrap
// ErrUnreachable if there is none, ErrRefused if it refuses.
type Client struct {
	http http.Client
	path string
}

// NewClient returns a client of the socket at path. Calls are bounded by their
// contexts, and end when a daemon has not begun to answer for 30 seconds.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, ResponseHeaderTimeout: answerTime}}, path: path}
}

// Status returns the node's state.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "status", nil, &s)
}

// Pairing returns the onboarding payload.
func (c *Client) Pairing(ctx context.Context) (p Pairing, err error) {
	return p, c.call(ctx, http.MethodGet, "pairing", nil, &p)
}

// Fabrics returns the fabric table.
func (c *Client) Fabrics(ctx context.Context) (list []Fabric, err error) {
	return list, c.call(ctx, http.MethodGet, "fabrics", nil, &list)
}

// RemoveFabric removes a fabric.
func (c *Client) RemoveFabric(ctx context.Context, i matter.FabricIndex) error {
	return c.call(ctx, http.MethodDelete, "fabrics/"+strconv.Itoa(int(i)), nil, nil)
}

// OpenWindow opens a commissioning window.
func (c *Client) OpenWindow(ctx context.Context, r WindowRequest) (w Window, err error) {
	return w, c.call(ctx, http.MethodPost, "window", r, &w)
}

// CloseWindow closes the commissioning window.
func (c *Client) CloseWindow(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "window", nil, nil)
}

// Attestation returns what the node proves itself with.
func (c *Client) Attestation(ctx context.Context) (a Attestation, err error) {
	return a, c.call(ctx, http.MethodGet, "attestation", nil, &a)
}

// VerifyAttestation returns it held against more than the daemon knows.
func (c *Client) VerifyAttestation(ctx context.Context, t AttestationTrust) (a Attestation, err error) {
	return a, c.call(ctx, http.MethodPost, "attestation/verify", t, &a)
}

// ImportAttestation replaces it.
func (c *Client) ImportAttestation(ctx context.Context, m AttestationMaterial) (a AttestationChange, err error) {
	return a, c.call(ctx, http.MethodPut, "attestation", m, &a)
}

// GenerateAttestation replaces it by new one for development.
func (c *Client) GenerateAttestation(ctx context.Context, r GenerateRequest) (a AttestationChange, err error) {
	return a, c.call(ctx, http.MethodPost, "attestation/generate", r, &a)
}

// FactoryReset removes all fabrics and what controllers have set.
func (c *Client) FactoryReset(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "factory-reset", nil, nil)
}

// CheckStore checks the store.
func (c *Client) CheckStore(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "store/check", nil, nil)
}

// SetLogLevel changes the least level of the daemon's log.
func (c *Client) SetLogLevel(ctx context.Context, level string) error {
	return c.call(ctx, http.MethodPut, "log-level", LogLevel{level}, nil)
}

// Health returns nil if the daemon can serve controllers.
func (c *Client) Health(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "health", nil, nil)
}

// Backup writes a copy of the store to w.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	rsp, err := c.do(ctx, http.MethodGet, "store/backup", nil)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	if _, err := io.Copy(w, rsp.Body); err != nil {
		return fmt.Errorf("receiving the copy: %w", err)
	}
	if rsp.Trailer.Get(trailerComplete) == "" {
		return errors.New("the daemon broke the copy off: its log says why")
	}
	return nil
}

func (c *Client) call(ctx context.Context, method, name string, in, out any) error {
	rsp, err := c.do(ctx, method, name, in)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(rsp.Body).Decode(out); err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	return nil
}

// do sends one request; an answer that is no success is an error.
func (c *Client) do(ctx context.Context, method, name string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://admin/v1/"+name, body)
	if err != nil {
		return nil, err
	}
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	rsp, err := c.http.Do(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		return nil, c.unreachable(err, connected)
	}
	if rsp.StatusCode == http.StatusOK {
		return rsp, nil
	}
	defer rsp.Body.Close()
	var f failure
	if err := json.NewDecoder(rsp.Body).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("the daemon answered %s", rsp.Status)
	}
	if f.Refused {
		return nil, refusal(f.Error)
	}
	return nil, errors.New(f.Error)
}

// unreachable says why there is no answer, and what to do.
func (c *Client) unreachable(err error, connected bool) error {
	var late net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("%w at %s: it does not answer in time", ErrUnreachable, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w at %s: only root and the daemon's own user may ask it", ErrDenied, c.path)
	case connected:
		return fmt.Errorf("%w at %s: it hung up, as it does on others than root and its own user", ErrDenied, c.path)
	}
	return fmt.Errorf("%w at %s: is it running, and is this its socket?", ErrUnreachable, c.path)
}
