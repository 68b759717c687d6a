package link

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
)

func message(topic, payload string) Message { return Message{Topic: topic, Payload: []byte(payload)} }

// drain takes everything, and returns topics and payloads.
func drain(q *queue) string {
	var b strings.Builder
	for events := q.take(); events != nil; events = q.take() {
		for _, e := range events {
			switch e.Kind {
			case Received:
				fmt.Fprintf(&b, "%s=%s ", e.Message.Topic, e.Message.Payload)
			case Settled:
				b.WriteString("settled ")
			case Up:
				b.WriteString("up ")
			case Down:
				b.WriteString("down ")
			}
		}
	}
	return strings.TrimSpace(b.String())
}

// TestQueueOrder checks that descriptions come before states, that the messages of
// a topic keep their order, and that a newer description replaces an older one.
func TestQueueOrder(t *testing.T) {
	q := newQueue()
	q.put(message("s", "1"))
	q.keep(message("c", "1"))
	q.put(message("t", "1"))
	q.put(message("s", "2"))
	q.keep(message("c", "2"))
	q.sign(Up)
	q.sign(Settled)
	if got, want := drain(q), "up c=2 s=1 s=2 t=1 settled"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	q.sign(Settled)
	q.sign(Down)
	if got := drain(q); got != "down" {
		t.Errorf("%s: settled of a connection that is gone", got)
	}
}

// TestFlood checks that a flood on a topic displaces only messages of that topic,
// that its last message stays, and that lost messages are counted.
func TestFlood(t *testing.T) {
	q := newQueue()
	lost := 0
	for i := range 10_000 {
		lost += q.put(message("flood", fmt.Sprint(i)))
	}
	lost += q.put(message("calm", "x"))
	got := drain(q)
	if !strings.HasSuffix(got, "flood=9999 calm=x") || lost != 10_000-maxTopicQueue {
		t.Errorf("lost %d; …%s", lost, got[max(0, len(got)-60):])
	}
}

// TestBounds checks that the queue is bounded in topics and octets, and empty after
// everything was taken.
func TestBounds(t *testing.T) {
	q := newQueue()
	lost := 0
	for i := range 2 * maxTopics {
		lost += q.put(message(fmt.Sprint(i), "x"))
	}
	if len(q.other.topics) != maxTopics || lost != maxTopics {
		t.Errorf("%d topics, %d lost", len(q.other.topics), lost)
	}
	big := make([]byte, MaxMessage)
	full := false
	for i := range 1000 {
		full = !q.keep(Message{Topic: fmt.Sprint("big", i), Payload: big})
		q.put(Message{Topic: fmt.Sprint(i % 50), Payload: big})
	}
	if q.other.bytes > maxBytes || q.kept.bytes > maxKeptBytes || !full {
		t.Errorf("%d and %d octets", q.other.bytes, q.kept.bytes)
	}
	for q.take() != nil {
	}
	if q.other.bytes != 0 || q.kept.bytes != 0 || len(q.other.order) != 0 || len(q.kept.order) != 0 {
		t.Errorf("after all: %d and %d octets, %d and %d topics", q.other.bytes, q.kept.bytes, len(q.other.order), len(q.kept.order))
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a/+", "a/b", true}, {"a/+", "a/b/c", false}, {"a/+", "a", false},
		{"a/#", "a/b/c", true}, {"a/#", "a", true}, {"a/#", "b", false}, {"#", "a/b", true}, {"#", "$SYS/x", false},
		{"+/+/c", "a/b/c", true}, {"+", "", true}, {"a//b", "a//b", true}, {"a/+/b", "a//b", true}, {"a", "a/b", false},
		{"$SYS/+", "$SYS/x", true},
	} {
		if got := Match(c.filter, c.topic); got != c.want {
			t.Errorf("%s takes %s: %v", c.filter, c.topic, got)
		}
	}
}

// packet is the header of a published message, without its content.
func packet(kind byte, size int) []byte {
	b := []byte{kind << 4}
	for n := size; ; {
		d := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			d |= 0x80
		}
		b = append(b, d)
		if n == 0 {
			break
		}
	}
	return append(b, bytes.Repeat([]byte{kind}, size)...)
}

// TestFramed checks that packets are not changed. Published messages that are too
// large are skipped, and other packets that are too large are an error.
func TestFramed(t *testing.T) {
	read := func(limit int, packets ...[]byte) ([]byte, int64, error) {
		var skipped atomic.Int64
		f := newFramed(nil, limit, &skipped)
		f.r = bufio.NewReaderSize(bytes.NewReader(bytes.Join(packets, nil)), 16)
		got, err := io.ReadAll(f)
		return got, skipped.Load(), err
	}
	small, large := packet(typePublish, 300), packet(typePublish, 70_000)
	got, skipped, err := read(1000, small, large, small)
	if err != nil || skipped != 1 || !bytes.Equal(got, append(bytes.Clone(small), small...)) {
		t.Errorf("%d octets, %d skipped, %v", len(got), skipped, err)
	}
	if _, _, err := read(1000, packet(9, 70_000)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a large SUBACK: %v", err)
	}
	if _, _, err := read(1000, []byte{0x20, 2, 0, 0}); err != errOldBroker {
		t.Errorf("CONNACK of 3.1.1: %v", err)
	}
	if _, _, err := read(1000, []byte{0x20, 3, 0, 0, 0, 0x20, 2, 0, 0}); err != nil {
		t.Errorf("a short CONNACK that is not the first packet: %v", err)
	}
	if _, _, err := read(1000, []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}); err == nil {
		t.Error("a length of five octets")
	}
	if _, _, err := read(1000, []byte{0x30}); err != io.ErrUnexpectedEOF {
		t.Errorf("half a header: %v", err)
	}
}

func FuzzFramed(f *testing.F) {
	f.Add(packet(typePublish, 5))
	f.Add(packet(typePublish, 200))
	f.Add([]byte{0x20, 3, 0, 0, 0, 0x90, 0x80, 0x80, 0x80, 0x80, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var skipped atomic.Int64
		fr := newFramed(nil, 100, &skipped)
		fr.r = bufio.NewReaderSize(bytes.NewReader(b), 16)
		got, err := io.ReadAll(fr)
		if len(got) > len(b) {
			t.Errorf("%d octets of %d", len(got), len(b))
		}
		if err == nil && skipped.Load() == 0 && fr.left == 0 && !bytes.Equal(got, b) {
			t.Errorf("%x came as %x", b, got)
		}
	})
}
