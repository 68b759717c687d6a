package mdns

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Times to live in seconds (RFC 6762, section 10): short for records of a host name
// or with one in their data, long for the others.
const (
	ttlHost   = 120
	ttlOther  = 4500
	ttlLegacy = 10 // at most, for legacy askers (section 6.7)
)

// enumeration is the name of the list of types (RFC 6763, section 9).
const enumeration = "_services._dns-sd._udp." + domain

// family is an address family; a link has a group in each.
type family uint8

const (
	ip6 family = iota
	ip4
	families
)

// record is a record of this host on one link.
type record struct {
	rr     dns.RR // with its full TTL, and the cache-flush bit if unique
	rdata  []byte // on the wire, uncompressed
	unique bool
	claim  *claim // the claim that it belongs to; nil in the list of types

	// In the list of types only: number of services of the type, and how many of them
	// are announced.
	holders, users int

	sent   [families]time.Time // last multicast
	queued [families]time.Time // when the pending answer that has it is due; zero: none has
	urgent [families]bool      // the answer sends it even if it was sent recently

	rescued     time.Time // last rescue
	rescuePause time.Duration
	picked      uint64 // round in which it became an answer
	known       uint64 // round in which the asker had it
	packed      uint64 // serial of the last packet that has it
}

// node is a name on a link.
type node struct {
	name    string
	records []*record
	owner   *claim  // claim that owns the name; nil if it is shared
	nsec    *record // lists the types of the name; made when needed
}

// find returns the record with a type and data, or nil.
func (n *node) find(typ uint16, rdata []byte) *record {
	for _, r := range n.records {
		if r.typ() == typ && sameData(typ, r.rdata, rdata) {
			return r
		}
	}
	return nil
}

func newRecord(rr dns.RR, c *claim, unique bool) *record {
	rr.Header().Class = dns.ClassINET
	if unique {
		rr.Header().Class |= topBit
	}
	rdata, err := rawData(rr)
	if err != nil {
		panic("BUG: a record of ours cannot be packed: " + err.Error())
	}
	return &record{rr: rr, rdata: rdata, unique: unique, claim: c}
}

// visible reports whether the record may be sent.
func (r *record) visible() bool {
	if r.claim == nil {
		return r.users > 0
	}
	return r.claim.state == Announced && !r.claim.withdrawn
}

func (r *record) typ() uint16 { return r.rr.Header().Rrtype }
func (r *record) ttl() uint32 { return r.rr.Header().Ttl }

// rawData returns the record's data as it is on the wire, uncompressed.
func rawData(rr dns.RR) ([]byte, error) {
	b := make([]byte, maxName+10+dns.Len(rr))
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return nil, err
	}
	off, err := skipName(b)
	if err != nil {
		return nil, err
	}
	return b[off+10 : end], nil
}

// skipName returns the offset behind the name at the start of b.
func skipName(b []byte) (int, error) {
	_, off, err := dns.UnpackDomainName(b, 0)
	return off, err
}

// srvNumbers is the size of priority, weight and port, which precede the name in the
// data of an SRV record.
const srvNumbers = 6

// sameData compares the data of two records of one type. The case of names in them
// does not matter.
func sameData(typ uint16, a, b []byte) bool {
	if typ != dns.TypePTR && typ != dns.TypeSRV {
		return bytes.Equal(a, b)
	}
	numbers := 0
	if typ == dns.TypeSRV {
		numbers = srvNumbers
	}
	if len(a) != len(b) || len(a) < numbers || !bytes.Equal(a[:numbers], b[:numbers]) {
		return false
	}
	for i := numbers; i < len(a); i++ {
		// lower does not change the length of a label, which is less than any letter.
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func pointer(name, to string, c *claim) *record {
	return newRecord(&dns.PTR{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypePTR, Ttl: ttlOther}, Ptr: to}, c, false)
}

// serviceRecords returns the records of s, whose host name is host: SRV and TXT first,
// then the pointers to it.
func serviceRecords(c *claim, s Service, host string) []*record {
	name, typeName := s.name(), s.typeName()
	txt := make([]string, 0, max(1, len(s.TXT)))
	for _, item := range s.TXT {
		txt = append(txt, strings.ReplaceAll(item, `\`, `\\`)) // the codec reads escapes
	}
	if len(txt) == 0 {
		txt = append(txt, "") // RFC 6763, section 6.1
	}
	recs := []*record{
		newRecord(&dns.SRV{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeSRV, Ttl: ttlHost}, Port: s.Port, Target: host}, c, true),
		newRecord(&dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Ttl: ttlOther}, Txt: txt}, c, true),
		pointer(typeName, name, c),
	}
	for _, sub := range s.Subtypes {
		recs = append(recs, pointer(subtypeName(sub, typeName), name, c))
	}
	return recs
}

func addressRecord(c *claim, host string, a netip.Addr) *record {
	hdr := dns.RR_Header{Name: host, Rrtype: dns.TypeAAAA, Ttl: ttlHost}
	if a.Is4() {
		hdr.Rrtype = dns.TypeA
		return newRecord(&dns.A{Hdr: hdr, A: net.IP(a.AsSlice())}, c, true)
	}
	return newRecord(&dns.AAAA{Hdr: hdr, AAAA: net.IP(a.AsSlice())}, c, true)
}

// denial returns the record that lists the types of a name of this host (RFC 6762,
// section 6.1).
func (n *node) denial() *record {
	if n.nsec == nil {
		var have [3]bool // in ascending order, as the bitmap needs it
		types := [3]uint16{dns.TypeA, dns.TypeTXT, dns.TypeAAAA}
		bitmap := []uint16{}
		srv := false
		for _, r := range n.records {
			for i, t := range types {
				have[i] = have[i] || r.typ() == t
			}
			srv = srv || r.typ() == dns.TypeSRV
		}
		for i, t := range types {
			if have[i] {
				bitmap = append(bitmap, t)
			}
		}
		if srv {
			bitmap = append(bitmap, dns.TypeSRV)
		}
		n.nsec = newRecord(&dns.NSEC{
			Hdr:        dns.RR_Header{Name: n.name, Rrtype: dns.TypeNSEC, Ttl: ttlHost},
			NextDomain: n.name, TypeBitMap: bitmap,
		}, n.owner, true)
	}
	return n.nsec
}

// patch sets the class and TTL of the record at the start of b.
func patch(b []byte, class uint16, ttl uint32) {
	off := 0
	for b[off] != 0 {
		if b[off]&0xC0 == 0xC0 {
			off++
			break
		}
		off += 1 + int(b[off])
	}
	binary.BigEndian.PutUint16(b[off+3:], class)
	binary.BigEndian.PutUint32(b[off+5:], ttl)
}
