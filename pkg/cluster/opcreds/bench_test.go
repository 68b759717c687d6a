package opcreds

import (
	"testing"

	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// These operations block the node's loop.

func BenchmarkCSRRequest(b *testing.B) {
	r := newRig(b, 5)
	s := r.pase()
	s.arm()
	fields := element(b, func(w *tlv.Writer) {
		w.StartStruct(tlv.Anonymous)
		w.Octets(tlv.Context(0), nonce)
		w.End()
	})
	var w tlv.Writer
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(w.Bytes()[:0])
		if err := r.cluster.Invoke(s.request(false), cmdCSRRequest, fields, &w); err != nil {
			b.Fatal(err)
		}
		r.executed = r.executed[:0]
	}
}

// BenchmarkJoin adds a fabric, from the CSR to the roll-back. It includes the peer's
// share of the work.
func BenchmarkJoin(b *testing.B) {
	r := newRig(b, 5)
	a := newAuthority(b, 1, true)
	b.ReportAllocs()
	for b.Loop() {
		r.pase().join(a, 0x10)
		r.failSafe.Expire(failsafe.Timeout)
		r.settle()
		r.executed, r.added = r.executed[:0], r.added[:0]
	}
}

func BenchmarkReadFabrics(b *testing.B) {
	r := newRig(b, 16)
	for n := range 16 {
		r.commission(newAuthority(b, matter.FabricID(n+1), false), 0x10)
	}
	s := r.caseOf(1)
	q := s.request(false)
	w := tlv.NewWriter(make([]byte, 0, 1<<14))
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(w.Bytes()[:0])
		if err := r.cluster.Read(q, attrFabrics, w, tlv.Anonymous); err != nil {
			b.Fatal(err)
		}
	}
}
