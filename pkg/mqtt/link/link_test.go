package link

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/brokertest"
	"github.com/opcredsd/opcredsd/internal/netlab"
)

// patience bounds what a test waits for. It is only reached by a failure.
const patience = 20 * time.Second

// user takes the events of a link for the test.
type user struct {
	*Link
	t    *testing.T
	log  *logBuffer
	rest []Event
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// use runs a link until the test ends.
func use(t *testing.T, o Options, subs ...Subscription) *user {
	t.Helper()
	u := &user{t: t, log: new(logBuffer)}
	o.Log = slog.New(slog.NewTextHandler(u.log, nil))
	if o.ClientID == "" {
		o.ClientID = "link-test"
	}
	var err error
	if u.Link, err = New(o); err != nil {
		t.Fatal(err)
	}
	u.Subscribe(subs...)
	return u
}

func (u *user) run() *user {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	u.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			u.t.Errorf("Run: %v", err)
		}
		if u.t.Failed() {
			u.t.Log(u.log)
		}
	})
	return u
}

// next returns the next event.
func (u *user) next() Event {
	u.t.Helper()
	timeout := time.After(patience)
	for len(u.rest) == 0 {
		select {
		case <-u.Ready():
			u.rest = u.Take()
		case <-timeout:
			u.t.Fatal("nothing happens")
		}
	}
	e := u.rest[0]
	u.rest = u.rest[1:]
	return e
}

// until returns the messages before the next event of a kind.
func (u *user) until(k Kind) map[string]Message {
	u.t.Helper()
	got := map[string]Message{}
	for {
		e := u.next()
		if e.Kind == k {
			return got
		}
		if e.Kind == Received {
			got[e.Message.Topic] = e.Message
		}
	}
}

// message returns the next message.
func (u *user) message() Message {
	u.t.Helper()
	for {
		if e := u.next(); e.Kind == Received {
			return e.Message
		}
	}
}

// awaitLog waits for a line of the log.
func (u *user) awaitLog(text string) {
	u.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(u.log.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			u.t.Fatalf("the log has no %q:\n%s", text, u.log)
		}
	}
}

func TestReceivesAndPublishes(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	c.Publish("a/config", "kept", true)
	c.Subscribe("out")
	u := use(t, Options{URL: b.URL()}, Subscription{Filter: "+/config", Keep: true}, Subscription{Filter: "state"}).run()
	if m := u.until(Settled)["a/config"]; string(m.Payload) != "kept" || !m.Retained {
		t.Errorf("retained: %+v", m)
	}
	c.Publish("state", "ON", false)
	if m := u.message(); m.Topic != "state" || string(m.Payload) != "ON" || m.Retained {
		t.Errorf("live: %+v", m)
	}
	if err := u.Publish(Publish{Topic: "out", Payload: []byte("x"), QoS: 1}); err != nil {
		t.Error(err)
	}
	if got := c.Next("out"); got != "x" {
		t.Errorf("published %q", got)
	}
	u.Unsubscribe("state")
	u.Subscribe(Subscription{Filter: "other"})
	u.until(Settled)
	c.Publish("state", "OFF", false)
	c.Publish("other", "1", false)
	if m := u.message(); m.Topic != "other" {
		t.Errorf("after unsubscribing: %+v", m)
	}
}

// TestTransports connects with each scheme of an address.
func TestTransports(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	b := brokertest.New(t, `
listener 1883 127.0.0.1
listener 9001 127.0.0.1
protocol websockets
listener 8883 127.0.0.1
cafile DIR/ca.pem
certfile DIR/server.pem
keyfile DIR/server.key
require_certificate true
listener 9443 127.0.0.1
protocol websockets
cafile DIR/ca.pem
certfile DIR/server.pem
keyfile DIR/server.key
password_file DIR/passwords
allow_anonymous false
`)
	certificates(t, b)
	passwords(t, b, "matter", "secret")
	b.Start()
	password := filepath.Join(b.Dir, "password")
	b.Write("password", "secret\n")
	base := Options{Username: "matter", PasswordFile: password, CAFile: filepath.Join(b.Dir, "ca.pem")}
	for i, url := range []string{b.URL(), "mqtt://127.0.0.1", "ws://127.0.0.1:9001", "mqtts://localhost", "wss://localhost:9443/mqtt"} {
		o := base
		o.URL, o.ClientID = url, fmt.Sprint("transport-", i)
		if strings.HasPrefix(url, "mqtts") {
			o.CertFile, o.KeyFile = filepath.Join(b.Dir, "client.pem"), filepath.Join(b.Dir, "client.key")
		}
		u := use(t, o, Subscription{Filter: "loop"}).run()
		u.until(Settled)
		big := strings.Repeat("x", 100_000)
		if err := u.Publish(Publish{Topic: "loop", Payload: []byte(big)}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if m := u.message(); string(m.Payload) != big {
			t.Errorf("%s: %d octets came", url, len(m.Payload))
		}
	}
	for what, o := range map[string]Options{
		"no client certificate": {URL: "mqtts://localhost", CAFile: base.CAFile, Username: "matter", PasswordFile: password},
		"an unknown CA":         {URL: "wss://localhost:9443", Username: "matter", PasswordFile: password},
		"another name":          {URL: "mqtts://127.0.0.2", CAFile: base.CAFile},
	} {
		u := use(t, o).run()
		u.awaitLog("cannot be reached")
		if s := u.Stats(); s.Connected || s.Errors[ReasonConnect] == 0 {
			t.Errorf("%s: %+v", what, s)
		}
	}
}

// certificates creates a CA, a server certificate and a client certificate with
// openssl.
func certificates(t *testing.T, b *brokertest.Broker) {
	t.Helper()
	script := `set -e; cd "$1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2
for n in server client; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $n.key -out $n.csr -subj /CN=$n
  printf 'subjectAltName=DNS:localhost\n' >$n.ext
  openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $n.pem -days 2 -extfile $n.ext
done`
	if out, err := exec.Command("sh", "-c", script, "sh", b.Dir).CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
}

func passwords(t *testing.T, b *brokertest.Broker, user, password string) {
	t.Helper()
	b.Write("passwords", "")
	if out, err := exec.Command("mosquitto_passwd", "-b", filepath.Join(b.Dir, "passwords"), user, password).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v\n%s", err, out)
	}
}

// TestWrongPassword checks that a refusal is logged once, and that a corrected
// password is used for the next attempt.
func TestWrongPassword(t *testing.T) {
	b := brokertest.New(t, "password_file DIR/passwords\nallow_anonymous false\n")
	passwords(t, b, "matter", "right")
	b.Write("password", "wrong")
	b.Start()
	u := use(t, Options{URL: b.URL(), Username: "matter", PasswordFile: filepath.Join(b.Dir, "password")}).run()
	u.awaitLog("cannot be reached")
	if log := u.log.String(); !strings.Contains(log, "user name") || strings.Contains(log, "wrong") {
		t.Errorf("log: %s", log)
	}
	b.Write("password", "right\n")
	u.until(Up)
	s := u.Stats()
	if n := strings.Count(u.log.String(), "cannot be reached"); n != 1 || s.Errors[ReasonRefused] == 0 {
		t.Errorf("said %d times; %+v", n, s)
	}
}

// TestBrokerComesAndGoes checks that the link waits for a broker, and subscribes
// again after a restart that loses the retained messages.
func TestBrokerComesAndGoes(t *testing.T) {
	b := brokertest.New(t, "")
	u := use(t, Options{URL: b.URL()}, Subscription{Filter: "+/config", Keep: true}, Subscription{Filter: "state"}).run()
	u.awaitLog("cannot be reached")
	if err := u.Publish(Publish{Topic: "x"}); err == nil {
		t.Error("published without a broker")
	}
	b.Start()
	u.until(Settled)
	b.Client().Publish("a/config", "1", true)
	if m := u.message(); m.Topic != "a/config" {
		t.Errorf("%+v", m)
	}
	b.Stop()
	u.until(Down)
	b.Start()
	if got := u.until(Settled); len(got) != 0 {
		t.Errorf("a broker that kept nothing brought %v", got)
	}
	c := b.Client()
	c.Publish("a/config", "2", true)
	c.Publish("state", "ON", false)
	for range 2 {
		u.message()
	}
	if s := u.Stats(); !s.Connected || s.Errors[ReasonLost] != 1 {
		t.Errorf("%+v", s)
	}
}

// TestFrozenBroker checks that a broker that does not answer any more is noticed, soon
// after a message of QoS 0 was sent to it, and also if nothing is sent.
func TestFrozenBroker(t *testing.T) {
	for what, tc := range map[string]struct {
		tolerance
		publish bool
	}{
		"a message is sent": {tolerance{idle: time.Hour, probe: 50 * time.Millisecond, silence: time.Second, answer: time.Hour}, true},
		"nothing is sent":   {tolerance{idle: 100 * time.Millisecond, probe: time.Hour, silence: time.Second, answer: time.Hour}, false},
	} {
		t.Run(what, func(t *testing.T) {
			b := brokertest.New(t, "")
			b.Start()
			u := use(t, Options{URL: b.URL()}, Subscription{Filter: "state"})
			u.pinger.tolerance = tc.tolerance
			u.run().until(Settled)
			b.Freeze()
			if tc.publish {
				if err := u.Publish(Publish{Topic: "lamp/set", Payload: []byte("ON")}); err != nil {
					t.Fatal(err)
				}
			}
			u.until(Down)
			if s := u.Status(); s.Connected || s.Error != errSilent.Error() {
				t.Errorf("%+v", s)
			}
			if err := u.Publish(Publish{Topic: "lamp/set"}); err == nil {
				t.Error("published to a broker that does not answer")
			}
			b.Thaw()
			u.until(Settled)
		})
	}
}

// TestRetainedAllArrive checks that all of 4,000 retained messages arrive at a slow
// reader, and that Settled comes after them.
func TestRetainedAllArrive(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	payload := strings.Repeat("x", 700)
	want := 0
	for _, component := range []string{"light", "sensor", "switch", "cover"} {
		for i := range 1000 {
			c.Publish(fmt.Sprintf("homeassistant/%s/%d/config", component, i), payload, true)
			want++
		}
	}
	u := use(t, Options{URL: b.URL()})
	for _, component := range []string{"light", "sensor", "switch", "cover"} {
		u.Subscribe(Subscription{Filter: "homeassistant/" + component + "/+/config", Keep: true})
	}
	u.run()
	u.awaitStats(func(s Stats) bool { return s.Received == 1000 }) // no further ones before these are taken
	u.until(Up)
	got := map[string]bool{}
	for e := u.next(); e.Kind != Settled; e = u.next() {
		got[e.Message.Topic] = true
	}
	if len(got) != want {
		t.Errorf("%d of %d came before Settled", len(got), want)
	}
}

// TestSettledWaits checks that Settled also waits for subscriptions that follow
// from retained messages.
func TestSettledWaits(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	c.Publish("list", "a", true)
	c.Publish("a", "b", true)
	c.Publish("b", "c", true)
	u := use(t, Options{URL: b.URL()}, Subscription{Filter: "list", Keep: true}).run()
	got := ""
	for e := u.next(); e.Kind != Settled; e = u.next() {
		if e.Kind == Received {
			got += string(e.Message.Payload)
			u.Subscribe(Subscription{Filter: string(e.Message.Payload), Keep: true})
		}
	}
	if got != "abc" {
		t.Errorf("settled after %q", got)
	}
}

// TestLostRetainedComeAgain checks that the link subscribes again after retained
// messages were dropped.
func TestLostRetainedComeAgain(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	for i := range 100 {
		c.Publish(fmt.Sprintf("d/%d/config", i), "x", true)
	}
	u := use(t, Options{URL: b.URL()}, Subscription{Filter: "d/+/config", Keep: true})
	u.q.kept.maxTopics, u.renewal, u.hold = 60, time.Millisecond, 50*time.Millisecond
	u.run()
	u.awaitStats(func(s Stats) bool { return s.Errors[ReasonQueueFull] > 0 }) // nothing is taken until then
	got := map[string]bool{}
	for len(got) < 100 {
		got[u.message().Topic] = true
	}
}

func (u *user) awaitStats(ok func(Stats) bool) {
	u.t.Helper()
	for end := time.Now().Add(patience); !ok(u.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			u.t.Fatalf("%+v", u.Stats())
		}
	}
}

// TestSizes checks that only messages that are too large are skipped.
func TestSizes(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	c := b.Client()
	u := use(t, Options{URL: b.URL()}, Subscription{Filter: "small/+"}, Subscription{Filter: "big", MaxMessage: 1 << 20}).run()
	u.until(Settled)
	c.Publish("small/1", strings.Repeat("x", MaxMessage+1), false)
	c.Publish("small/2", strings.Repeat("x", MaxMessage), false)
	if m := u.message(); m.Topic != "small/2" {
		t.Errorf("%s came", m.Topic)
	}
	c.Publish("big", strings.Repeat("x", 1<<20), false)
	if m := u.message(); m.Topic != "big" {
		t.Errorf("%s came", m.Topic)
	}
	if s := u.Stats(); s.Errors[ReasonTooLarge] != 1 {
		t.Errorf("%+v", s)
	}
}

// TestRefusedSubscription checks that a rejected subscription does not prevent
// others.
func TestRefusedSubscription(t *testing.T) {
	b := brokertest.New(t, "acl_file DIR/acl\n")
	b.Write("acl", "topic readwrite open/#\n")
	b.Start()
	u := use(t, Options{URL: b.URL()}, Subscription{Filter: "closed/+"}, Subscription{Filter: "open/+"}).run()
	u.until(Settled)
	b.Client().Publish("open/1", "x", false)
	if m := u.message(); m.Topic != "open/1" {
		t.Errorf("%+v", m)
	}
}

// TestOldBroker checks that a broker with only MQTT 3.1.1 gives one clear log line.
func TestOldBroker(t *testing.T) {
	dir, err := os.MkdirTemp("", "old")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	connects := make(chan bool, 10)
	go func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1024))
			conn.Write([]byte{0x20, 2, 0, 1}) // CONNACK: unacceptable protocol version
			conn.Close()
			connects <- true
		}
	}()
	u := use(t, Options{URL: "unix://" + filepath.Join(dir, "sock")}).run()
	for range 2 {
		<-connects
	}
	u.awaitStats(func(s Stats) bool { return s.Errors[ReasonRefused] >= 2 })
	if n := strings.Count(u.log.String(), "MQTT 5 is needed"); n != 1 {
		t.Errorf("said %d times: %s", n, u.log)
	}
}

// TestSameClientID checks that two programs with the same client id do not silently
// disconnect each other in a loop.
func TestSameClientID(t *testing.T) {
	b := brokertest.New(t, "")
	b.Start()
	first := use(t, Options{URL: b.URL()}).run()
	first.until(Settled)
	use(t, Options{URL: b.URL()}).run().until(Up)
	first.until(Down)
	first.awaitLog("another client may have the same client id")
}

func TestOptions(t *testing.T) {
	for url, want := range map[string]string{
		"mqtt://h":              "",
		"mqtt://[::1]":          "",
		"wss://h/x?y=z":         "",
		"unix:///run/x.sock":    "",
		"http://h":              "begins with",
		"h:1883":                "begins with",
		"mqtt://":               "no host",
		"mqtt://u:secret@h":     "user name in it",
		"mqtt://h/path":         "have a path",
		"unix://run/x.sock":     "unix:///run",
		"mqtt://h:bad secret@p": "no URL",
	} {
		_, err := New(Options{URL: url, ClientID: "x"})
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, o := range []Options{
		{URL: "mqtt://h"},
		{URL: "mqtt://h", ClientID: "x", CertFile: "y"},
		{URL: "mqtt://h", ClientID: "x", PasswordFile: "/nonexistent"},
		{URL: "mqtt://h", ClientID: "x", CAFile: "/nonexistent"},
		{URL: "mqtt://h", ClientID: "x", CAFile: "/dev/null"},
		{URL: "mqtt://h", ClientID: "x", CertFile: "/dev/null", KeyFile: "/dev/null"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v", o)
		}
	}
}
