package mdns

import "encoding/binary"

// Bounds on a message that is read.
const (
	maxPacket    = 9000 // RFC 6762, section 17
	maxQuestions = 256
	maxRecords   = 1024
	maxName      = 255
)

const (
	headerSize   = 12
	flagResponse = 1 << 15
	flagAnswer   = 1 << 10 // authoritative
	flagTC       = 1 << 9
	maskOpcode   = 0xF << 11
	maskRcode    = 0xF

	// topBit in the class of a question asks for a unicast answer. In the class of a
	// record it is the cache-flush bit.
	topBit = 1 << 15
)

type section uint8

const (
	answerSection section = iota
	authoritySection
	additionalSection
)

// message is what a received packet says about names of this host. Everything else is
// skipped and not decoded.
type message struct {
	bytes        []byte
	id           uint16
	response     bool
	truncated    bool
	asked        int // number of questions, for any name
	questionsEnd int // offset behind them
	authority    int // number of records in the authority section, for any name
	questions    []question
	records      []rawRecord
	scratch      []byte // a name while it is looked up
}

type question struct {
	node    *node
	offset  int // of the question in the message
	typ     uint16
	class   uint16 // without the top bit
	unicast bool
}

type rawRecord struct {
	node    *node
	section section
	offset  int // of the record in the message
	typ     uint16
	class   uint16 // with the top bit
	ttl     uint32
}

// parse reads b into m. find returns the node of a folded name, or nil. parse reports
// false if b is not a well-formed mDNS message.
func (m *message) parse(b []byte, find func(key []byte) *node) bool {
	m.bytes, m.questions, m.records = b, m.questions[:0], m.records[:0]
	if len(b) < headerSize || len(b) > maxPacket {
		return false
	}
	flags := binary.BigEndian.Uint16(b[2:])
	if flags&(maskOpcode|maskRcode) != 0 {
		return false // section 18.3 and 18.11: ignored
	}
	m.id = binary.BigEndian.Uint16(b)
	m.response = flags&flagResponse != 0
	m.truncated = flags&flagTC != 0
	counts := [4]int{}
	for i := range counts {
		counts[i] = int(binary.BigEndian.Uint16(b[4+2*i:]))
	}
	m.asked, m.authority = counts[0], counts[2]
	if counts[0] > maxQuestions || counts[1]+counts[2]+counts[3] > maxRecords {
		return false
	}
	off, ok := m.parseQuestions(headerSize, counts[0], find)
	m.questionsEnd = off
	for i := range section(3) {
		if !ok {
			return false
		}
		off, ok = m.parseRecords(off, counts[1+i], i, find)
	}
	return ok
}

func (m *message) parseQuestions(off, count int, find func([]byte) *node) (int, bool) {
	for range count {
		key, end, ok := readName(m.scratch[:0], m.bytes, off)
		m.scratch = key
		if !ok || len(m.bytes)-end < 4 {
			return 0, false
		}
		if n := find(key); n != nil {
			class := binary.BigEndian.Uint16(m.bytes[end+2:])
			m.questions = append(m.questions, question{
				node:    n,
				offset:  off,
				typ:     binary.BigEndian.Uint16(m.bytes[end:]),
				class:   class &^ topBit,
				unicast: class&topBit != 0,
			})
		}
		off = end + 4
	}
	return off, true
}

func (m *message) parseRecords(off, count int, s section, find func([]byte) *node) (int, bool) {
	for range count {
		key, end, ok := readName(m.scratch[:0], m.bytes, off)
		m.scratch = key
		if !ok || len(m.bytes)-end < 10 {
			return 0, false
		}
		next := end + 10 + int(binary.BigEndian.Uint16(m.bytes[end+8:]))
		if next > len(m.bytes) {
			return 0, false
		}
		if n := find(key); n != nil {
			m.records = append(m.records, rawRecord{
				node:    n,
				section: s,
				offset:  off,
				typ:     binary.BigEndian.Uint16(m.bytes[end:]),
				class:   binary.BigEndian.Uint16(m.bytes[end+2:]),
				ttl:     binary.BigEndian.Uint32(m.bytes[end+4:]),
			})
		}
		off = next
	}
	return off, true
}

// readName appends the name at off to key, folded, each label followed by a dot, and
// returns the offset behind it. A dot within a label becomes a zero octet, so that the
// name is no name of this host. Compression pointers must lead backwards, so that every
// chain of them ends.
func readName(key, b []byte, off int) (name []byte, end int, ok bool) {
	end = -1
	limit := off // pointers must lead before it
	for size := 0; ; {
		if off >= len(b) {
			return key, 0, false
		}
		c := int(b[off])
		switch c & 0xC0 {
		case 0x00:
			off++
			if c == 0 {
				if end < 0 {
					end = off
				}
				return key, end, true
			}
			if size += 1 + c; size >= maxName || off+c > len(b) {
				return key, 0, false
			}
			key = appendLabel(key, b[off:off+c])
			off += c
		case 0xC0:
			if off+2 > len(b) {
				return key, 0, false
			}
			if end < 0 {
				end = off + 2
			}
			to := int(binary.BigEndian.Uint16(b[off:])) & 0x3FFF
			if to >= limit {
				return key, 0, false
			}
			off, limit = to, to
		default:
			return key, 0, false
		}
	}
}

func appendLabel(key, label []byte) []byte {
	for _, c := range label {
		if c == '.' {
			c = 0
		}
		key = append(key, lower(c))
	}
	return append(key, '.')
}
