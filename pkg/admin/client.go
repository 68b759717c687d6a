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
	"time"
)

// ErrUnreachable is returned if no daemon answers on the socket.
var ErrUnreachable = errors.New("the daemon cannot be reached")

// ErrDenied is returned if a daemon may be running but this user may not connect to
// it. Errors that wrap it also wrap ErrUnreachable.
var ErrDenied = fmt.Errorf("%w", ErrUnreachable)

// answerTime is how long the client waits for an answer to begin. Even a busy
// daemon needs less.
const answerTime = 30 * time.Second

// Client sends requests to a running daemon. Its functions return errors that wrap
// ErrUnreachable if there is none, and ErrRefused if the daemon refuses.
type Client struct {
	Operator
	http http.Client
	path string
}

// NewClient returns a client of the socket at path. A call ends with its context,
// or if the daemon does not begin to answer within 30 seconds.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	c := &Client{http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, ResponseHeaderTimeout: answerTime}}, path: path}
	for _, r := range routes(&c.Operator) {
		r.connect(c)
	}
	return c
}

// copy writes an answer that is not JSON to w.
func (c *Client) copy(ctx context.Context, method, name string, w io.Writer) error {
	rsp, err := c.do(ctx, method, name, nil)
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
	if err := json.NewDecoder(rsp.Body).Decode(out); err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	return nil
}

// do sends one request. It returns an error for any status other than success.
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
	switch {
	case f.Refused:
		return nil, refusal(f.Error)
	case f.Config:
		return nil, configuration(f.Error)
	}
	return nil, errors.New(f.Error)
}

// unreachable returns an error with the reason why there is no answer, and a
// remedy.
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
		return fmt.Errorf("%w at %s: it closed the connection, as it does for all users except root and its own", ErrDenied, c.path)
	}
	return fmt.Errorf("%w at %s: is it running, and is this its socket?", ErrUnreachable, c.path)
}
