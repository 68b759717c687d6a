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

// Times to live in seconds (RFC 6762, section 10): what names a host or is
// named by one is short-lived, the rest long-lived.
const (
	ttlHost   = 120
	ttlOther  = 4500
	ttlLegacy = 10 // at most, to who does not speak mDNS (section 6.7)
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

// record is one of ours on one link.
type record struct {
	rr     dns.RR // with its full TTL, and the cache-flush bit if unique
	rdata  []byte // on the wire, uncompressed
	unique bool
	claim  *claim // the name it stands or falls with; nil in the list of types

	// In the list of types only: services of the type, and how many of them are
	// announced.
	holders, users int

	sent   [families]time.Time // last multicast
	queued [families]time.Time // when the pending answer with it is due; zero: in none
	urgent [families]bool      // and it is sent though it was a short while ago

	rescued     time.Time // last rescue
	rescuePause time.Duration
	picked      uint64 // round in which it was picked as an answer
	known       uint64 // round in which the asker knew it
	packed      uint64 // serial of the packet that has it
}

// node is a name on a link.
type node struct {
	name    string
	records []*record
	owner   *claim  // who owns the name; nil if it is shared
	nsec    *record // says what the name has; made when needed
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

// visible reports whether the record may be told.
func (r *record) visible() bool {
	if r.claim == nil {
		return r.users > 0
	}
	return r.claim.state == Announced && !r.claim.gone
}

func (r *record) typ() uint16 { return r.rr.Header().Rrtype }
func (r *record) ttl() uint32 { return r.rr.Header().Ttl }

// rawData is the record's data as it stands on the wire, uncompressed.
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

// srvNumbers is the size of what stands before the name in an SRV record: priority,
// weight and port.
const srvNumbers = 6

// sameData compares the data of two records of one type: names in them ignore
// case.
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
		// The length of a label is below the letters, so it stays what it is.
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func pointer(name, to string, c *claim) *record {
	return newRecord(&dns.PTR{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypePTR, Ttl: ttlOther}, Ptr: to}, c, false)
}

// serviceRecords makes the records of s, whose host name is host: SRV and TXT
// first, then those that point at it.
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

// denial returns the record that says which types a name of ours has
// (RFC 6762, section 6.1).
func (n *node) denial() *record {
	if n.nsec == nil {
		var have [3]bool // in ascending order of the types, as the map wants it
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

// patch sets class and TTL of the record that was packed at the start of b.
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
