package mdns

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds that Validate enforces. With them all records of a service fit one packet.
const (
	maxLabel    = 63
	maxSubtypes = 16
	maxTXT      = 600 // octets of all strings with their length octets
	maxTXTItem  = 255
)

const domain = "local."

// Service is a DNS-SD service instance.
type Service struct {
	// Type is such as "_matterc._udp".
	Type string
	// Instance is the first label of the instance name, 1 to 63 letters,
	// digits, hyphens and underscores.
	Instance string
	// Subtypes are such as "_L3840"; at most 16.
	Subtypes []string
	// Port is the UDP (or TCP) port, not 0.
	Port uint16
	// TXT holds the strings "key=value" in order, each at most 255 octets and
	// all together at most 600.
	TXT []string
}

// Validate returns an error if s cannot be announced.
func (s Service) Validate() error {
	proto, transport, ok := strings.Cut(s.Type, ".")
	if !ok || !strings.HasPrefix(proto, "_") || !plainLabel(proto) || (transport != "_udp" && transport != "_tcp") {
		return fmt.Errorf("service type %q is not of the form _name._udp or _name._tcp", s.Type)
	}
	if !plainLabel(s.Instance) {
		return fmt.Errorf("instance name %q is not 1 to %d letters, digits, hyphens and underscores", s.Instance, maxLabel)
	}
	if len(s.Subtypes) > maxSubtypes {
		return fmt.Errorf("%d subtypes, more than %d", len(s.Subtypes), maxSubtypes)
	}
	for _, sub := range s.Subtypes {
		if !plainLabel(sub) {
			return fmt.Errorf("subtype %q is not 1 to %d letters, digits, hyphens and underscores", sub, maxLabel)
		}
	}
	if s.Port == 0 {
		return errors.New("port 0")
	}
	total := 0
	for _, item := range s.TXT {
		if item == "" || len(item) > maxTXTItem {
			return fmt.Errorf("TXT string of %d octets, not 1 to %d", len(item), maxTXTItem)
		}
		total += 1 + len(item)
	}
	if total > maxTXT {
		return fmt.Errorf("TXT strings of %d octets, more than %d", total, maxTXT)
	}
	return nil
}

// plainLabel reports whether s is a label that needs no escape in a name.
func plainLabel(s string) bool {
	if s == "" || len(s) > maxLabel {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// name returns the full instance name, typeName that of the type.
func (s Service) name() string     { return s.Instance + "." + s.typeName() }
func (s Service) typeName() string { return s.Type + "." + domain }

// subtypeName returns the full name of a subtype of a type.
func subtypeName(sub, typeName string) string { return sub + "._sub." + typeName }

func (s Service) equal(o Service) bool {
	return s.Type == o.Type && s.Instance == o.Instance && s.Port == o.Port &&
		slices.Equal(s.Subtypes, o.Subtypes) && slices.Equal(s.TXT, o.TXT)
}

func (s Service) clone() Service {
	s.Subtypes, s.TXT = slices.Clone(s.Subtypes), slices.Clone(s.TXT)
	return s
}

// fold returns a name in lower case, for comparisons. DNS ignores the case of ASCII
// letters only (RFC 4343).
func fold(name string) string {
	b := []byte(name)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
