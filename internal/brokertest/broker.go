// Package brokertest runs a real MQTT broker, mosquitto, for tests.
package brokertest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// patience bounds what a test waits for; nothing takes as long unless it fails.
const patience = 20 * time.Second

// Broker is a mosquitto that can be started and stopped. It has a Unix socket, and
// whatever else its configuration says.
type Broker struct {
	Dir    string
	Socket string
	t      testing.TB
	config string
	cmd    *exec.Cmd
	log    bytes.Buffer
}

// New prepares a broker without starting it. Config is appended to mosquitto.conf; DIR
// in it stands for the broker's folder.
func New(t testing.TB, config string) *Broker {
	t.Helper()
	dir, err := os.MkdirTemp("", "broker") // shorter than t.TempDir: a socket's path has 107 octets
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{t: t, Dir: dir, Socket: filepath.Join(dir, "sock")}
	b.config = "listener 0 " + b.Socket + "\npersistence false\nlog_type error\nlog_type warning\n" + strings.ReplaceAll(config, "DIR", dir)
	if !strings.Contains(config, "allow_anonymous") {
		b.config += "\nallow_anonymous true\n"
	}
	t.Cleanup(func() {
		b.Stop()
		os.RemoveAll(dir)
	})
	return b
}

// URL is the address of the broker's Unix socket.
func (b *Broker) URL() string { return "unix://" + b.Socket }

// Write puts a file into the broker's folder.
func (b *Broker) Write(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.Dir, name), []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// Start starts the broker, and returns when it takes connections.
func (b *Broker) Start() {
	b.t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto"
	}
	b.Write("mosquitto.conf", "user root\n"+b.config)
	os.Remove(b.Socket)
	b.cmd = exec.Command(path, "-c", filepath.Join(b.Dir, "mosquitto.conf"))
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// The death signal comes with the thread: keep it for as long as the test runs.
	runtime.LockOSThread()
	b.t.Cleanup(runtime.UnlockOSThread)
	if err := b.cmd.Start(); err != nil {
		b.t.Fatalf("mosquitto: %v (test/setup.sh installs it)", err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", b.Socket)
		if err == nil {
			conn.Close()
			return
		}
	}
	b.cmd.Process.Kill()
	b.cmd.Wait()
	b.t.Fatalf("mosquitto does not listen: %s", b.log.String())
}

// Stop ends the broker. It keeps nothing.
func (b *Broker) Stop() {
	if b.cmd != nil {
		b.cmd.Process.Kill()
		b.cmd.Wait()
		b.cmd = nil
	}
}

// Freeze stops the broker's process: its connections exist, and nothing answers on them.
func (b *Broker) Freeze() { b.signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (b *Broker) Thaw() { b.signal(syscall.SIGCONT) }

func (b *Broker) signal(s syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// Client is a connection of a test's own, which publishes and looks on.
type Client struct {
	t        testing.TB
	c        *paho.Client
	Messages chan *paho.Publish
}

// Client connects to the broker's Unix socket.
func (b *Broker) Client() *Client {
	b.t.Helper()
	return Connect(b.t, b.Socket)
}

// Connect connects to the Unix socket of a broker that the test started itself.
func Connect(t testing.TB, socket string) *Client {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{t: t, Messages: make(chan *paho.Publish, 10_000)}
	c.c = paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) { c.Messages <- p.Packet; return true, nil },
	}})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.c.Connect(ctx, &paho.Connect{ClientID: fmt.Sprintf("test-%p", c), CleanStart: true, KeepAlive: 60}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.c.Disconnect(&paho.Disconnect{}) })
	return c
}

// Publish publishes at QoS 1, and returns when the broker has the message.
func (c *Client) Publish(topic, payload string, retain bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.c.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: retain}); err != nil {
		c.t.Fatalf("publishing to %s: %v", topic, err)
	}
}

// PublishFast publishes at QoS 0, and waits for nothing.
func (c *Client) PublishFast(topic, payload string) {
	c.t.Helper()
	if _, err := c.c.Publish(context.Background(), &paho.Publish{Topic: topic, Payload: []byte(payload)}); err != nil {
		c.t.Fatalf("publishing to %s: %v", topic, err)
	}
}

// Subscribe subscribes; what comes is in Messages.
func (c *Client) Subscribe(filters ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var s paho.Subscribe
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f})
	}
	if _, err := c.c.Subscribe(ctx, &s); err != nil {
		c.t.Fatal(err)
	}
}

// Next returns the next message of a topic that comes, and passes over others.
func (c *Client) Next(topic string) string {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-c.Messages:
			if m.Topic == topic {
				return string(m.Payload)
			}
		case <-timeout:
			c.t.Fatalf("nothing was published to %s", topic)
		}
	}
}
