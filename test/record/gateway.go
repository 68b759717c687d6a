package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/netns"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

const (
	passcode   = 20202021
	udpPort    = 5540
	metricsURL = "127.0.0.1:9540"
)

// gateway is a daemon with what it is connected to.
type gateway struct {
	play
	ns     *netns.Namespace
	begun  time.Time
	dir    string
	daemon string
	speed  float64
	link   string
	addr   netip.AddrPort
	raw    *os.File

	cmd    *exec.Cmd
	broker *exec.Cmd
	log    bytes.Buffer
}

func newGateway(s *settings, i int, p play) (*gateway, error) {
	g := &gateway{play: p, daemon: s.daemon, speed: s.speed, link: fmt.Sprintf("gw%d", i)}
	var err error
	if g.dir, err = os.MkdirTemp("", "record-"); err != nil {
		return nil, err
	}
	if g.ns, err = netns.New(); err != nil {
		return nil, err
	}
	device := fmt.Sprintf("fd00:%d::a", i)
	g.addr = netip.AddrPortFrom(netip.MustParseAddr(device), udpPort)
	err = netns.Connect(g.link,
		netns.End{Prefixes: []string{fmt.Sprintf("fd00:%d::b/64", i)}},
		netns.End{Namespace: g.ns, Prefixes: []string{device + "/64"}})
	if err != nil {
		return nil, err
	}
	if g.raw, err = os.Create(filepath.Join(s.raw, p.name+".metrics")); err != nil {
		return nil, err
	}
	g.begun = time.Now()
	if p.before != nil {
		if err := p.before(g); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gateway) close() {
	g.kill()
	g.stopBroker()
	g.raw.Close()
	g.ns.Close()
	os.RemoveAll(g.dir)
}

func (g *gateway) path(name string) string { return filepath.Join(g.dir, name) }

// start starts the daemon and waits until it is ready.
func (g *gateway) start() error {
	args := []string{"run", "--state-dir", g.path("state"), "--passcode", strconv.Itoa(passcode), "--discriminator", "3840",
		"--metrics-addr", metricsURL, "--show-codes", "never", "--log-level", "warn"}
	for _, a := range g.args {
		args = append(args, os.Expand(a, func(string) string { return g.dir }))
	}
	g.cmd = exec.Command(g.daemon, args...)
	g.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	g.cmd.Stdout, g.cmd.Stderr = &g.log, &g.log
	if err := g.ns.Start(g.cmd); err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if _, err := g.get("/healthz"); err == nil {
			return nil
		}
	}
	g.kill()
	return fmt.Errorf("the daemon does not answer\n%s", g.log.String())
}

func (g *gateway) kill() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait() // killed
}

func (g *gateway) signal(s os.Signal) error { return g.cmd.Process.Signal(s) }

// minute returns how many minutes have passed.
func (g *gateway) minute() float64 { return time.Since(g.begun).Minutes() * g.speed }

// at waits until a number of minutes after the beginning.
func (g *gateway) at(ctx context.Context, minutes float64) error {
	select {
	case <-time.After(time.Until(g.begun.Add(time.Duration(minutes / g.speed * float64(time.Minute))))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get asks the daemon's HTTP server.
func (g *gateway) get(path string) ([]byte, error) {
	var c net.Conn
	err := g.ns.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", metricsURL, time.Second)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", path); err != nil {
		return nil, err
	}
	rsp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, rsp.Status)
	}
	return io.ReadAll(rsp.Body)
}

// scrapes keeps the metrics, every interval.
func (g *gateway) scrapes(ctx context.Context) {
	fmt.Fprintf(g.raw, "## begun %d\n", g.begun.Unix())
	for i := 1; ; i++ {
		select {
		case <-time.After(time.Until(g.begun.Add(time.Duration(i) * interval))):
		case <-ctx.Done():
			return
		}
		body, err := g.get("/metrics")
		if err != nil {
			log.Printf("%s: scrape %d: %v", g.name, i, err)
		}
		fmt.Fprintf(g.raw, "## scrape %d\n%s", i, body)
	}
}

// api calls the bridge's API.
func (g *gateway) api(ctx context.Context, method, path string, body any) (*http.Response, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://bridge"+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", g.path("state/bridge.sock"))
	}}}
	rsp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if rsp.StatusCode >= 300 {
		text, _ := io.ReadAll(rsp.Body)
		rsp.Body.Close()
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, rsp.Status, text)
	}
	return rsp, nil
}

// do calls the API and looks at the status only.
func (g *gateway) do(ctx context.Context, method, path string, body any) error {
	rsp, err := g.api(ctx, method, path, body)
	if err != nil {
		return err
	}
	return rsp.Body.Close()
}

// cli runs an operator's command.
func (g *gateway) cli(args ...string) error {
	out, err := exec.Command(g.daemon, append([]string{"--state-dir", g.path("state")}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}

// startBroker starts mosquitto on a Unix socket.
func (g *gateway) startBroker() error {
	config := fmt.Sprintf("listener 0 %s\nallow_anonymous true\nuser root\n", g.path("mqtt.sock"))
	if err := os.WriteFile(g.path("mosquitto.conf"), []byte(config), 0o600); err != nil {
		return err
	}
	_ = os.Remove(g.path("mqtt.sock"))
	g.broker = exec.Command("mosquitto", "-c", g.path("mosquitto.conf"))
	g.broker.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	if path, err := exec.LookPath("/usr/sbin/mosquitto"); err == nil {
		g.broker = exec.Command(path, "-c", g.path("mosquitto.conf"))
	}
	if err := g.ns.Start(g.broker); err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(g.path("mqtt.sock")); err == nil {
			return nil
		}
	}
	return fmt.Errorf("mosquitto does not listen")
}

func (g *gateway) stopBroker() {
	if g.broker != nil {
		_ = g.broker.Process.Signal(unix.SIGTERM)
		_ = g.broker.Wait() // asked for
		g.broker = nil
	}
}

// publish sends a message; file is its payload.
func (g *gateway) publish(topic string, payload []byte) error {
	cmd := exec.Command("mosquitto_pub", "--unix", g.path("mqtt.sock"), "-t", topic, "-s")
	cmd.Stdin = bytes.NewReader(payload)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mosquitto_pub: %w: %s", err, out)
	}
	return nil
}

// newClient returns a controller's end of the network.
func newClient() (*commissioner.Client, error) {
	conns, err := transport.Listen(transport.Options{})
	if err != nil {
		return nil, err
	}
	for _, c := range conns[1:] {
		c.Close()
	}
	return commissioner.New(conns[0]), nil
}
