package ethernetdiagnostics

import (
	"fmt"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

var admin = clustertest.Admin(1)

func ptr[T any](v T) *T { return &v }

func newNode(t *testing.T, link *Link) (*clustertest.Node, *Cluster) {
	n := clustertest.New(t, 1)
	c := New(n.Now, func() Link { return *link })
	n.Add(0, c)
	return n, c
}

// want checks attributes 0 to 8.
func want(t *testing.T, n *clustertest.Node, what string, values ...string) {
	t.Helper()
	for id, want := range values {
		if got := n.Read(admin, 0, ID, matter.AttributeID(id)); got != want {
			t.Errorf("%s: attribute %d: %s, want %s", what, id, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	link := Link{
		Megabits: ptr(uint32(1000)), FullDuplex: ptr(true), Carrier: ptr(true),
		Counts: Counts{RxPackets: 100, TxPackets: 200, TxErrors: 3, Collisions: 4, Overruns: 5},
	}
	n, _ := newNode(t, &link)
	want(t, n, "at the start", "2", "true", "0", "0", "0", "0", "0", "true", "0")
	link.Counts = Counts{RxPackets: 111, TxPackets: 222, TxErrors: 4, Collisions: 6, Overruns: 8}
	n.Now = n.Now.Add(150 * time.Second)
	want(t, n, "later", "2", "true", "11", "22", "1", "2", "3", "true", "2")
	if got := n.Invoke(admin, 0, ID, cmdResetCounts, "{}"); got != "SUCCESS" {
		t.Fatal(got)
	}
	want(t, n, "after a reset of the counts", "2", "true", "0", "0", "0", "0", "0", "true", "2")
	link.Counts.RxPackets++
	want(t, n, "one packet more", "2", "true", "1")
	// An interface that was created again counts from zero.
	link.Counts = Counts{RxPackets: 7}
	want(t, n, "created again", "2", "true", "7", "0", "0", "0", "0")
	n.Now = clustertest.Start.Add(-time.Hour)
	want(t, n, "a clock that was set back", "2", "true", "7", "0", "0", "0", "0", "true", "0")
}

func TestUnknown(t *testing.T) {
	n, _ := newNode(t, new(Link))
	want(t, n, "nothing known", "null", "null", "0", "0", "0", "0", "0", "null", "0")
}

func TestRates(t *testing.T) {
	for megabits, want := range map[uint32]string{
		10: "0", 100: "1", 1000: "2", 2500: "3", 5000: "4", 10000: "5", 40000: "6", 100000: "7", 200000: "8", 400000: "9",
		0: "null", 25000: "null", 800000: "null",
	} {
		n, _ := newNode(t, &Link{Megabits: &megabits})
		if got := n.Read(admin, 0, ID, phyRate); got != want {
			t.Errorf("%d Mbit/s: %s, want %s", megabits, got, want)
		}
	}
}

func TestResetCountsFields(t *testing.T) {
	n, _ := newNode(t, new(Link))
	for fields, want := range map[string]string{"{}": "SUCCESS", "{0:1}": "SUCCESS"} {
		if got := n.Invoke(admin, 0, ID, cmdResetCounts, fields); got != want {
			t.Errorf("%s: %s, want %s", fields, got, want)
		}
	}
}

func TestChanges(t *testing.T) {
	link := Link{Megabits: ptr(uint32(1000)), FullDuplex: ptr(true), Carrier: ptr(true)}
	n, c := newNode(t, &link)
	var got []matter.AttributeID
	changes := func() string {
		got = nil
		c.Changes(func(id matter.AttributeID) { got = append(got, id) })
		return fmt.Sprint(got)
	}
	steps := []struct {
		what string
		link Link
		want string
	}{
		{"the same", Link{Megabits: ptr(uint32(1000)), FullDuplex: ptr(true), Carrier: ptr(true), Counts: Counts{RxPackets: 9}}, "[]"},
		{"slower", Link{Megabits: ptr(uint32(100)), FullDuplex: ptr(true), Carrier: ptr(true)}, "[0]"},
		{"half duplex", Link{Megabits: ptr(uint32(100)), FullDuplex: ptr(false), Carrier: ptr(true)}, "[1]"},
		{"unplugged", Link{Carrier: ptr(false)}, "[0 1 7]"},
		{"gone", Link{}, "[7]"},
	}
	for _, s := range steps {
		link = s.link
		if got := changes(); got != "[]" {
			t.Errorf("%s: %s although nobody said so", s.what, got)
		}
		c.Follow(im.LinksChanged)
		if got := changes(); got != s.want {
			t.Errorf("%s: %s, want %s", s.what, got, s.want)
		}
	}
	if got := n.Read(admin, 0, ID, phyRate); got != "null" {
		t.Errorf("PHYRate %s", got)
	}
}
