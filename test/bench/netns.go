package main

import (
	"errors"
	"io"
	"net/netip"
	"os/exec"
	"time"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// The interface at both ends of the pair, and addresses in addition to the
// link-local ones.
const (
	link       = "eth0"
	deviceULA  = "fd00:6f70:6372:6564::a"
	controlULA = "fd00:6f70:6372:6564::b"
)

var deviceAddr = netip.MustParseAddr(deviceULA)

// newNetwork creates the devices' namespace and connects it with that of this
// process.
func newNetwork() (*netns.Namespace, error) {
	n, err := netns.New()
	if err != nil {
		return nil, err
	}
	return n, errors.Join(netns.Loopback(), netns.Connect(link,
		netns.End{Prefixes: []string{controlULA + "/64", "10.83.7.2/24"}},
		netns.End{Namespace: n, Prefixes: []string{deviceULA + "/64", "10.83.7.1/24"}}))
}

// startIn starts cmd in the namespace and writes its output to out. The process is
// killed when this one ends.
func startIn(n *netns.Namespace, cmd *exec.Cmd, out io.Writer) (*process, error) {
	cmd.WaitDelay = time.Second
	cmd.Stdout, cmd.Stderr = out, out
	begin := time.Now()
	if err := n.Start(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, begin: begin, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState contains more
		close(p.done)
	}()
	return p, nil
}
