package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// Options contain the broker's address and the client's credentials.
type Options struct {
	URL          string // mqtt://, mqtts://, ws://, wss:// or unix://
	Username     string
	PasswordFile string // read at each connect
	CAFile       string // the broker's trusted roots; empty: the system's
	CertFile     string // a client certificate, read at each connect
	KeyFile      string
	ClientID     string // required; the same at each start
	Log          *slog.Logger
}

// Bounds and times of the link.
const (
	MaxMessage       = 256 << 10 // octets of a payload, unless its subscription allows more
	MaxPacket        = 17 << 20  // octets of a packet
	maxOutgoing      = 256       // messages that wait to be sent
	receiveMaximum   = 100
	keepAlive        = 30 * time.Second // what the broker allows; see pinger
	connectTimeout   = 10 * time.Second
	packetTimeout    = 10 * time.Second
	firstRetry       = time.Second
	maxRetry         = 30 * time.Second
	stableConnection = 10 * time.Second // after this, the next retry is immediate again
	shortLived       = 3                // this many short connections in a row are logged
	maxHold          = time.Second
	firstRenewal     = 10 * time.Second // initial time between new subscriptions after a loss
	maxRenewal       = 5 * time.Minute
)

// Kind is the kind of an Event.
type Kind uint8

// The kinds of events.
const (
	Received Kind = iota
	Up            // connected to the broker
	Settled       // all retained messages have arrived
	Down          // the connection is lost
)

// Event is a message, or a change of the connection.
type Event struct {
	Kind    Kind
	Message Message // if Kind is Received
}

// Message is a received message.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool // the broker had stored it; it may be old
}

// Publish is a message to send.
type Publish struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
}

// Stats are counters of a link since its start.
type Stats struct {
	Connected      bool
	Received, Sent uint64
	Errors         map[Reason]uint64
}

// Status is the state of a link.
type Status struct {
	Connected bool
	Since     time.Time // when that began; zero before the first attempt
	Error     string    // why the last attempt failed, or the connection ended; empty: it is there
	Refused   bool      // the broker was reached, and refused the client
}

// Reason is why an operation failed.
type Reason string

// The reasons.
const (
	ReasonConnect   Reason = "connect"    // the broker could not be reached
	ReasonRefused   Reason = "refused"    // it refused the client: credentials, permission or version
	ReasonLost      Reason = "lost"       // a connection ended
	ReasonSubscribe Reason = "subscribe"  // it refused a subscription
	ReasonPublish   Reason = "publish"    // a message could not be sent
	ReasonTooLarge  Reason = "too_large"  // a message was skipped for its size
	ReasonQueueFull Reason = "queue_full" // a message was dropped since too many waited
)

var reasons = []Reason{ReasonConnect, ReasonRefused, ReasonLost, ReasonSubscribe, ReasonPublish, ReasonTooLarge, ReasonQueueFull}

// Link is a connection to a broker. Its methods may be called by several
// goroutines, but [Link.Take] only by one.
type Link struct {
	o   Options
	url *url.URL
	log *slog.Logger
	q   *queue
	out chan Publish

	subs    subscriptions
	renewal time.Duration // least time between new subscriptions after a loss
	hold    time.Duration // how long a message with Keep waits for room

	pinger    *pinger
	connected atomic.Bool
	framed    atomic.Pointer[framed] // the latest connection
	counters  counters
	retry     retry
}

type counters struct {
	received, sent atomic.Uint64
	skipped        atomic.Int64 // packets beyond MaxPacket
	errors         map[Reason]*atomic.Uint64
}

// retry is the state of the attempts to connect.
type retry struct {
	mu    sync.Mutex
	up    time.Time // when the last connection was made; zero during an attempt
	tries int       // attempts since the last stable connection
	last  string    // the failure that was logged last
	state Status
}

// New checks the options. It does not connect; Run does.
func New(o Options) (*Link, error) {
	u, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.ClientID == "" {
		return nil, errors.New("a client id is required")
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("a client certificate and its key must be given together")
	}
	l := &Link{o: o, url: u, log: o.Log, q: newQueue(), out: make(chan Publish, maxOutgoing), counters: counters{errors: map[Reason]*atomic.Uint64{}}, renewal: firstRenewal, hold: maxHold, pinger: newPinger(usual)}
	l.subs.changed = make(chan struct{}, 1)
	l.subs.wanted = map[string]Subscription{}
	for _, r := range reasons {
		l.counters.errors[r] = new(atomic.Uint64)
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	// Report missing files at the start, not at the first connect.
	if _, err := l.password(); err != nil {
		return nil, err
	}
	if _, err := l.tlsConfig(); err != nil {
		return nil, err
	}
	return l, nil
}

// Run connects, and reconnects after a loss, until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls:           []*url.URL{l.url},
		KeepAlive:            uint16(keepAlive / time.Second),
		ConnectTimeout:       connectTimeout,
		ReconnectBackoff:     l.backoff,
		AttemptConnection:    l.dial,
		ConnectPacketBuilder: l.connectPacket,
		OnConnectionUp:       func(cm *autopaho.ConnectionManager, _ *paho.Connack) { l.onUp() },
		OnConnectionDown:     func() bool { l.onDown(); return true },
		OnConnectError:       l.onConnectError,
		ClientConfig: paho.ClientConfig{
			ClientID:           l.o.ClientID,
			PingHandler:        l.pinger,
			PacketTimeout:      packetTimeout,
			OnPublishReceived:  []func(paho.PublishReceived) (bool, error){l.onMessage},
			OnServerDisconnect: l.onServerDisconnect,
		},
	})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { l.subscribe(ctx, cm) })
	wg.Go(func() { l.send(ctx, cm) })
	<-cm.Done()
	wg.Wait()
	return nil
}

// Ready returns a channel that receives when Take may have something.
func (l *Link) Ready() <-chan struct{} { return l.q.ready }

// Take returns the next batch of events, or nil. Call it again when Ready receives,
// after all of the last batch has been handled.
func (l *Link) Take() []Event { return l.q.take() }

// Publish queues a message to be sent. It fails if there is no connection or the
// queue is full, since a message that is sent late is no longer wanted.
func (l *Link) Publish(p Publish) error {
	err := errors.New("not connected to the MQTT broker")
	if l.connected.Load() {
		select {
		case l.out <- p:
			return nil
		default:
			err = errors.New("too many messages wait to be sent to the MQTT broker")
		}
	}
	l.count(ReasonPublish, 1)
	return err
}

// Stats returns the counters.
func (l *Link) Stats() Stats {
	s := Stats{Connected: l.connected.Load(), Received: l.counters.received.Load(), Sent: l.counters.sent.Load(), Errors: map[Reason]uint64{}}
	for r, n := range l.counters.errors {
		s.Errors[r] = n.Load()
	}
	s.Errors[ReasonTooLarge] += uint64(l.counters.skipped.Load())
	return s
}

// Status returns the state of the connection.
func (l *Link) Status() Status {
	l.retry.mu.Lock()
	defer l.retry.mu.Unlock()
	return l.retry.state
}

func (l *Link) count(r Reason, n int) { l.counters.errors[r].Add(uint64(n)) }

// send publishes queued messages. Messages that were queued before the connection
// was lost are dropped.
func (l *Link) send(ctx context.Context, cm *autopaho.ConnectionManager) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-l.out:
			if !l.connected.Load() {
				l.count(ReasonPublish, 1)
				continue
			}
			sending, cancel := context.WithTimeout(ctx, packetTimeout)
			_, err := cm.Publish(sending, &paho.Publish{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain})
			cancel()
			if err != nil {
				l.count(ReasonPublish, 1)
				l.log.Warn("a message could not be published", "topic", p.Topic, "error", err)
				continue
			}
			l.counters.sent.Add(1)
		}
	}
}

// drop drops the messages that wait to be sent.
func (l *Link) drop() {
	for {
		select {
		case <-l.out:
			l.count(ReasonPublish, 1)
		default:
			return
		}
	}
}

// onMessage is called by the goroutine that reads paho's channel.
func (l *Link) onMessage(p paho.PublishReceived) (bool, error) {
	l.counters.received.Add(1)
	defer wake(l.q.progress)
	if f := l.framed.Load(); f != nil {
		defer f.handled.Add(1)
	}
	keep, limit := l.subs.find(p.Packet.Topic)
	if len(p.Packet.Payload) > limit {
		l.count(ReasonTooLarge, 1)
		l.log.Warn("a message is too large and was skipped", "topic", p.Packet.Topic, "octets", len(p.Packet.Payload), "limit", limit)
		return true, nil
	}
	m := Message{Topic: p.Packet.Topic, Payload: p.Packet.Payload, Retained: p.Packet.Retain}
	switch {
	case keep:
		l.keep(m)
	default:
		l.count(ReasonQueueFull, l.q.put(m))
	}
	return true, nil
}

// keep puts a message with Keep into the queue. If the queue is full, it waits, and
// so does the broker. The wait is bounded, since the messages of all devices wait,
// too.
func (l *Link) keep(m Message) {
	for end := time.Now().Add(l.hold); !l.q.keep(m); {
		left := time.Until(end)
		if left <= 0 {
			l.q.lose()
			l.count(ReasonQueueFull, 1)
			return
		}
		pause(context.Background(), l.q.room, left)
	}
}

func (l *Link) onUp() {
	l.retry.mu.Lock()
	l.retry.up, l.retry.last = time.Now(), ""
	l.retry.state = Status{Connected: true, Since: l.retry.up}
	l.retry.mu.Unlock()
	l.log.Info("connected to the MQTT broker", "url", l.url.Redacted())
	l.connected.Store(true)
	l.q.sign(Up)
	l.subs.restart()
}

func (l *Link) onDown() {
	text := "the connection ended"
	if l.pinger.failed() {
		text = errSilent.Error()
	}
	l.connected.Store(false)
	l.drop()
	l.count(ReasonLost, 1)
	l.log.Warn("the connection to the MQTT broker is lost", "url", l.url.Redacted(), "error", text)
	l.retry.mu.Lock()
	defer l.retry.mu.Unlock()
	l.retry.state = Status{Since: time.Now(), Error: text}
	l.q.sign(Down)
	if l.retry.tries == shortLived && time.Since(l.retry.up) < stableConnection {
		l.log.Warn("connections to the MQTT broker end soon after they are made: another client may have the same client id", "client_id", l.o.ClientID)
	}
}

func (l *Link) onServerDisconnect(d *paho.Disconnect) {
	if d.ReasonCode == packets.DisconnectSessionTakenOver {
		l.log.Error("another client connected with the same client id: each needs a different one", "client_id", l.o.ClientID)
		return
	}
	l.log.Warn("the MQTT broker ended the connection", "reason", d.ReasonCode)
}

// onConnectError counts a failed attempt. It logs an error only when it differs
// from the last one.
func (l *Link) onConnectError(err error) {
	reason, text := ReasonConnect, err.Error()
	var refused *autopaho.ConnackError
	switch {
	case errors.As(err, &refused):
		reason, text = ReasonRefused, refusal(refused)
	case errors.Is(err, errOldBroker):
		reason, text = ReasonRefused, errOldBroker.Error()
	}
	l.count(reason, 1)
	l.retry.mu.Lock()
	again := l.retry.last == text
	l.retry.last = text
	if l.retry.state.Connected || l.retry.state.Since.IsZero() {
		l.retry.state.Since = time.Now()
	}
	l.retry.state.Connected, l.retry.state.Error, l.retry.state.Refused = false, text, reason == ReasonRefused
	l.retry.mu.Unlock()
	if !again {
		l.log.Warn("the MQTT broker cannot be reached; retrying", "url", l.url.Redacted(), "error", text)
	}
}

// refusal returns the meaning of a CONNACK that refuses the connection (MQTT 5.0,
// 3.2.2.2).
func refusal(err *autopaho.ConnackError) string {
	text, ok := map[byte]string{
		packets.ConnackUnsupportedProtocolVersion: errOldBroker.Error(),
		packets.ConnackInvalidClientID:            "the broker does not take the client id",
		packets.ConnackBadUsernameOrPassword:      "the broker does not take the user name and password",
		packets.ConnackNotAuthorized:              "the broker does not let this client in: user name, password or permission",
		packets.ConnackServerBusy:                 "the broker is busy",
		packets.ConnackBanned:                     "the broker has banned this client",
	}[err.ReasonCode]
	if !ok {
		text = fmt.Sprintf("the broker refuses the connection with reason 0x%02x", err.ReasonCode)
	}
	if err.Reason != "" {
		text += ": " + err.Reason
	}
	return text
}

// backoff returns the wait before the next attempt: none after a stable connection,
// otherwise twice the last one. It does not use paho's count of attempts, since
// that starts again after connections that end at once.
func (l *Link) backoff(int) time.Duration {
	l.retry.mu.Lock()
	defer l.retry.mu.Unlock()
	if !l.retry.up.IsZero() && time.Since(l.retry.up) > stableConnection {
		l.retry.tries = 0
	}
	l.retry.up = time.Time{}
	l.retry.tries++
	if l.retry.tries == 1 {
		return 0
	}
	d := min(maxRetry, firstRetry<<min(l.retry.tries-2, 10))
	return d/2 + rand.N(d/2)
}
