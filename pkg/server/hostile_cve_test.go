package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// item is one attribute of a write. data is encoded with context tag 2.
type item struct {
	cluster   matter.ClusterID
	attribute matter.AttributeID
	add       bool // append one element to a list
	data      func(w *tlv.Writer, t tlv.Tag)
}

func writeRequest(more bool, items ...item) []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Bool(tlv.Context(0), false)
	w.Bool(tlv.Context(1), false)
	w.StartArray(tlv.Context(2))
	for _, i := range items {
		w.StartStruct(tlv.Anonymous)
		w.StartList(tlv.Context(1))
		w.Uint(tlv.Context(2), 0)
		w.Uint(tlv.Context(3), uint64(i.cluster))
		w.Uint(tlv.Context(4), uint64(i.attribute))
		if i.add {
			w.Null(tlv.Context(5))
		}
		w.End()
		i.data(w, tlv.Context(2))
		w.End()
	}
	w.End()
	w.Bool(tlv.Context(3), more)
	w.Uint(tlv.Context(0xFF), matter.InteractionModelRevision)
	w.End()
	return w.Bytes()
}

func invokeRequest(cl matter.ClusterID, cmd matter.CommandID, f commissioner.Fields) []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Bool(tlv.Context(0), false)
	w.Bool(tlv.Context(1), false)
	w.StartArray(tlv.Context(2))
	w.StartStruct(tlv.Anonymous)
	w.StartList(tlv.Context(0))
	w.Uint(tlv.Context(0), 0)
	w.Uint(tlv.Context(1), uint64(cl))
	w.Uint(tlv.Context(2), uint64(cmd))
	w.End()
	w.StartStruct(tlv.Context(1))
	f(w)
	w.End()
	w.End()
	w.End()
	w.Uint(tlv.Context(0xFF), matter.InteractionModelRevision)
	w.End()
	return w.Bytes()
}

// written returns the statuses of a WriteResponse or a StatusResponse.
func written(t *testing.T, opcode uint8, payload []byte) (list []matter.Status) {
	t.Helper()
	r := tlv.NewReader(payload)
	for r.EnterStruct(); r.Next(); {
		switch {
		case r.ContextTag() == 0 && opcode == im.OpcodeStatusResponse:
			list = append(list, matter.Status(r.Uint8()))
		case r.ContextTag() == 0:
			for r.EnterArray(); r.Next(); {
				for r.EnterStruct(); r.Next(); {
					if r.ContextTag() != 1 {
						continue
					}
					for r.EnterStruct(); r.Next(); {
						if r.ContextTag() == 0 {
							list = append(list, matter.Status(r.Uint8()))
						}
					}
					r.Exit()
				}
				r.Exit()
			}
			r.Exit()
		}
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	return list
}

// answered reports whether a request had an answer, which may be a refusal.
func answered(err error) bool {
	var status matter.Status
	var own matter.ClusterStatus
	return err == nil || errors.As(err, &status) || errors.As(err, &own)
}

// An access control list is written completely or not at all. A list with an error
// in the middle, in one or several messages, leaves the old one (CVE-2024-56317:
// the old entries were deleted first, and nobody could administer the node any
// more).
func TestCVE_2024_56317_ACLWriteAllOrNothing(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		admin := entry{privilege: matter.PrivilegeAdminister, mode: matter.AuthModeCASE, subjects: []uint64{uint64(a.NodeID)}}
		view := entry{privilege: matter.PrivilegeView, mode: matter.AuthModeCASE}
		raw := r.stranger(1).caseSession(a, done.Node)
		before := fmt.Sprint(readACL(t, r, done.CASE, true))
		acl := func(add bool, data func(w *tlv.Writer, t tlv.Tag)) item { return item{clAccess, 0, add, data} }
		one := func(e entry) func(w *tlv.Writer, t tlv.Tag) {
			return func(w *tlv.Writer, t tlv.Tag) {
				b := tlv.NewWriter(nil)
				e.write(b)
				rd := tlv.NewReader(b.Bytes())
				w.Element(t, rd.Element())
			}
		}
		empty := acl(false, func(w *tlv.Writer, t tlv.Tag) { w.StartArray(t); w.End() })
		strange := func(w *tlv.Writer, t tlv.Tag) {
			w.StartArray(t)
			admin.write(w)
			w.Uint(tlv.Anonymous, 7) // not an entry
			w.End()
		}
		tests := map[string][][]byte{
			"second entry without a privilege":    {writeRequest(false, acl(false, entries(admin, entry{mode: matter.AuthModeCASE})))},
			"second entry for PASE":               {writeRequest(false, acl(false, entries(admin, entry{privilege: 1, mode: 1})))},
			"second entry with a subject of zero": {writeRequest(false, acl(false, entries(admin, entry{privilege: 1, mode: 2, subjects: []uint64{0}})))},
			"an entry that is a number":           {writeRequest(false, acl(false, strange))},
			"too many entries":                    {writeRequest(false, acl(false, entries(admin, view, view, view, view, view)))},
			"emptied, then a bad entry":           {writeRequest(false, empty, acl(true, one(admin)), acl(true, one(entry{mode: 9})))},
			"emptied, and the rest never comes":   {writeRequest(true, empty)},
			"emptied, filled, and no end":         {writeRequest(true, empty, acl(true, one(view)))},
			"bad entry in a second message":       {writeRequest(true, empty, acl(true, one(admin))), writeRequest(false, acl(true, one(entry{mode: 9})))},
			"nonsense in a second message":        {writeRequest(true, empty, acl(true, one(admin))), []byte("nonsense")},
		}
		whole := writeRequest(false, acl(false, entries(admin, view)))
		for n := range whole {
			tests[fmt.Sprintf("%d of %d octets", n, len(whole))] = [][]byte{whole[:n]}
		}
		for name, messages := range tests {
			raw.exchange++
			for _, b := range messages {
				if _, _, ok := raw.goOn(matter.ProtocolInteractionModel, im.OpcodeWriteRequest, b); !ok {
					t.Errorf("%s: no answer", name)
				}
			}
			if after := fmt.Sprint(readACL(t, r, done.CASE, true)); after != before {
				t.Fatalf("%s: the list is %s, it was %s", name, after, before)
			}
		}
		time.Sleep(time.Minute) // those that wait for the rest time out
		if after := fmt.Sprint(readACL(t, r, done.CASE, true)); after != before {
			t.Fatalf("later: the list is %s, it was %s", after, before)
		}
		p, body, _ := raw.ask(matter.ProtocolInteractionModel, im.OpcodeWriteRequest, whole)
		if got := written(t, p.Opcode, body); !slices.Equal(got, []matter.Status{0}) {
			t.Errorf("the whole list: %v", got)
		}
		if n := len(readACL(t, r, done.CASE, true)); n != 2 {
			t.Errorf("%d entries", n)
		}
	})
}

// Datagrams, headers, payloads, strings and lists of length 0 do not stop the node
// (CVE-2024-56318: a message of size 0).
func TestCVE_2024_56318_ZeroLength(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := r.stranger(1)
		h := message.Header{HasSource: true, Source: 1}
		eachPrefix(t, (&message.ProtocolHeader{HasAck: true, Vendor: 1}).AppendTo(h.AppendTo(nil)), func(_ string, b []byte) { s.send(b) })
		raw := s.caseSession(a, done.Node)
		eachPrefix(t, raw.next(1, 2, []byte{0x15, 0x18}), func(_ string, b []byte) { s.send(b) })
		for opcode := range 256 {
			s.begin()
			s.post(uint8(opcode), nil)
			for protocol := range uint16(5) {
				s.send(raw.next(protocol, uint8(opcode), nil))
				if protocol == 1 && opcode > 0 && opcode < 12 {
					for _, b := range [][]byte{{0x15}, {0x15, 0x18}, {0x16, 0x18}, {0x18}, {0}, {0x15, 0x36, 0, 0x18, 0x18}, {0x15, 0x36, 1, 0x18, 0x18}, {0x15, 0x36, 2, 0x18, 0x18}} {
						s.send(raw.next(protocol, uint8(opcode), b))
					}
				}
			}
			time.Sleep(time.Second) // exchanges end; otherwise there would be too many
			s.drain()
		}
		// Every command with empty strings, and without fields.
		for _, cl := range []matter.ClusterID{clAccess, clBasic, clGeneral, clWindow, clOpCreds, clGroupKeys} {
			for cmd := range matter.CommandID(16) {
				if cl == clOpCreds && cmd == cmdRemove || cl == clGeneral && cmd == cmdArm {
					continue // the effect without strings is not tested here
				}
				for _, f := range []commissioner.Fields{
					args(), args(0, []byte{}), args(0, ""), args(0, []byte{}, 1, []byte{}, 2, []byte{}, 3, 1, 4, 0xFFF1),
				} {
					if _, _, ok := raw.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, invokeRequest(cl, cmd, f)); !ok {
						t.Errorf("cluster %02X, command %02X: no answer", cl, cmd)
					}
				}
			}
		}
		time.Sleep(20 * time.Minute) // windows and fail-safes end
		r.connectsWithin(time.Second, c, a, done.Node)
		if i := r.inspect(); i.Fabrics != 1 {
			t.Errorf("%d fabrics", i.Fabrics)
		}
		r.wantBounded()
	})
}

// Everything that an administrator can write is limited: labels, lists, sets,
// subscriptions (CVE-2024-56319: labels could be added without end).
func TestCVE_2024_56319_UnboundedWrites(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		raw := r.stranger(1).caseSession(a, done.Node)
		text := func(n int) func(w *tlv.Writer, t tlv.Tag) {
			return func(w *tlv.Writer, t tlv.Tag) { w.Text(t, strings.Repeat("x", n)) }
		}
		status := func(p message.ProtocolHeader, body []byte, ok bool) []matter.Status {
			t.Helper()
			if !ok {
				t.Fatal("no answer")
			}
			return written(t, p.Opcode, body)
		}
		write := func(more bool, items ...item) []matter.Status {
			t.Helper()
			return status(raw.ask(matter.ProtocolInteractionModel, im.OpcodeWriteRequest, writeRequest(more, items...)))
		}
		for _, n := range []int{33, 100, 255, 256, 1000} {
			if got := write(false, item{clBasic, 5, false, text(n)}); !slices.Equal(got, []matter.Status{matter.StatusConstraintError}) {
				t.Errorf("node label of %d: %v", n, got)
			}
			if got := r.creds(done.CASE, cmdLabel, 0, strings.Repeat("x", n)); got != constraintError {
				t.Errorf("fabric label of %d: %s", n, got)
			}
		}
		// Lists that grow by one element per message, in one write that never ends.
		for _, target := range []struct {
			name string
			cl   matter.ClusterID
			at   matter.AttributeID
		}{{"ACL", clAccess, 0}, {"extensions", clAccess, 1}, {"group key map", clGroupKeys, 0}} {
			raw.exchange++
			send := func(items ...item) []matter.Status {
				return status(raw.goOn(matter.ProtocolInteractionModel, im.OpcodeWriteRequest, writeRequest(true, items...)))
			}
			send(item{target.cl, target.at, false, func(w *tlv.Writer, t tlv.Tag) { w.StartArray(t); w.End() }})
			before := liveHeap()
			for n := range 500 {
				got := send(item{target.cl, target.at, true, text(900)})
				if n > 20 && !slices.Equal(got, []matter.Status{matter.StatusResourceExhausted}) {
					t.Fatalf("%s: element %d: %v", target.name, n, got)
				}
			}
			if after := liveHeap(); after > before+128<<10 {
				t.Errorf("%s: memory grew from %d to %d KiB", target.name, before>>10, after>>10)
			}
			time.Sleep(time.Minute)
		}
		// A fabric may have a limited number of key sets.
		sets := 0
		for id := 1; id < 100; id++ {
			got := r.command(done.CASE, clGroupKeys, 0, 0, commissioner.Value(func(w *tlv.Writer, t tlv.Tag) {
				w.StartStruct(t)
				w.Uint(tlv.Context(0), uint64(id))
				w.Uint(tlv.Context(1), 0)
				w.Octets(tlv.Context(2), bytes.Repeat([]byte{1}, 16))
				w.Uint(tlv.Context(3), 1)
				for i := range uint8(4) {
					w.Null(tlv.Context(4 + i))
				}
				w.End()
			}))
			if got == ok {
				sets++
			} else if got != resourceExhausted {
				t.Fatalf("key set %d: %s", id, got)
			}
		}
		if sets > 10 {
			t.Errorf("%d key sets", sets)
		}
		// Subscriptions.
		for range 200 {
			_, err := done.CASE.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, clOpCreds, 2)}}, 0, 3600)
			r.must(err)
		}
		subscriptions := r.inspect().Subscriptions
		if subscriptions > 100 {
			t.Errorf("%d subscriptions", subscriptions)
		}
		t.Logf("%d key sets, %d subscriptions", sets, subscriptions)
		if f, err := os.Stat(r.dir + "/" + store.FileName); err != nil || f.Size() > 1<<20 {
			t.Errorf("the store has %d octets, %v", f.Size(), err)
		}
		r.wantBounded()
		r.connectsWithin(time.Second, c, a, done.Node)
	})
}

// Lengths and numbers near their maximum, where a sum could overflow and a loop
// never end (CVE-2026-0619), are answered or dropped, and the node continues. An
// endless loop would fail this test by its time limit.
func TestCVE_2026_0619_IntegerWrap(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := r.stranger(1)
		raw := s.caseSession(a, done.Node)
		ff := bytes.Repeat([]byte{0xFF}, 16)
		// Elements with the maximum length of their type: strings with a length of
		// 1, 2, 4 and 8 octets, and numbers of all sizes.
		var elements [][]byte
		for _, typ := range []byte{0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x04, 0x05, 0x06, 0x07, 0x00, 0x03} {
			n := 1 << (typ & 3)
			for _, last := range []byte{0xFF, 0x7F, 0x80, 0xFE} {
				length := bytes.Clone(ff[:n])
				length[n-1] = last
				elements = append(elements, append([]byte{typ}, length...))
			}
			for _, low := range []byte{0xF0, 0xF8, 0xFF} { // overflows when added to an offset
				length := bytes.Clone(ff[:n])
				length[0] = low
				elements = append(elements, append([]byte{typ}, length...))
			}
		}
		payloads := func(f func(b []byte)) {
			for _, e := range elements {
				for tag := range byte(8) {
					tagged := append([]byte{e[0] | 0x20, tag}, e[1:]...)
					f(append([]byte{0x15}, tagged...))
					f(slices.Concat([]byte{0x15}, tagged, ff, []byte{0x18}))
					f(slices.Concat([]byte{0x15, 0x36, tag, 0x15}, tagged, []byte{0x18, 0x18, 0x18}))
					f(slices.Concat([]byte{0x15, 0x36, tag, 0x15, 0x37, 0}, tagged, []byte{0x18, 0x18, 0x18, 0x18}))
				}
			}
		}
		n := 0
		payloads(func(b []byte) {
			opcode := []uint8{message.OpcodeSigma1, message.OpcodePBKDFParamRequest, message.OpcodeStatusReport}[n%3]
			s.begin()
			s.post(opcode, b)
			s.send(raw.next(matter.ProtocolInteractionModel, uint8(1+n%10), b))
			if n++; n%20 == 0 {
				time.Sleep(time.Second)
				s.drain()
			}
		})
		// Headers with extensions longer than the datagram.
		for _, length := range []string{"\xff\xff", "\xfe\xff", "\xf0\xff", "\x00\x80", "\x01\x00"} {
			b := raw.next(1, 2, nil)
			s.send(slices.Concat(b[:3], []byte{b[3] | 0x20}, b[4:8], []byte(length), b[8:]))
			s.send([]byte("\x04\x00\x00\x20\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00" + length + "\x01"))
			plain := s.plain(message.ProtocolHeader{Initiator: true, Opcode: message.OpcodeSigma1}, []byte(length))
			plain[16] |= 0x08 // secured extensions
			s.send(plain)
		}
		// Commands and requests with the largest numbers. Answers to messages that were
		// not acknowledged wait for those before them.
		time.Sleep(10 * time.Minute)
		s.drain()
		const most = uint64(1<<64 - 1)
		for _, cmd := range []struct {
			cl matter.ClusterID
			id matter.CommandID
			f  commissioner.Fields
		}{
			{clGeneral, cmdArm, args(0, 0xFFFF, 1, most)},
			{clGeneral, cmdArm, args(0, 0, 1, most)},
			{clWindow, 0, args(0, 0xFFFF, 1, make([]byte, 97), 2, 0xFFFF, 3, uint64(0xFFFFFFFF), 4, make([]byte, 32))},
			{clOpCreds, cmdRemove, args(0, 0xFF)},
			{clOpCreds, cmdAddNOC, args(0, ff, 2, ff, 3, most, 4, 0xFFFF)},
			{clGroupKeys, 0, args(0, most)},
		} {
			if _, _, ok := raw.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, invokeRequest(cmd.cl, cmd.id, cmd.f)); !ok {
				t.Errorf("cluster %02X, command %02X: no answer", cmd.cl, cmd.id)
			}
		}
		ep, cl, at := matter.EndpointID(0xFFFE), matter.ClusterID(0xFFFF_FFFE), uint32(0xFFFF_FFFE)
		for _, p := range []commissioner.Path{{Endpoint: &ep}, {Cluster: &cl}, {Endpoint: &ep, Cluster: &cl, Element: &at}, {}} {
			// Any answer is accepted, but there must be one.
			_, err := done.CASE.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{p}, Events: []commissioner.Path{p}, EventMin: matter.EventNumber(most)})
			if !answered(err) {
				t.Errorf("read: %v", err)
			}
			if _, err = done.CASE.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{p}}, 0xFFFF, 0xFFFF); !answered(err) {
				t.Errorf("subscription: %v", err)
			}
		}
		time.Sleep(24 * time.Hour) // the longest intervals pass
		r.connectsWithin(time.Second, c, a, done.Node)
		r.wantBounded()
	})
}
