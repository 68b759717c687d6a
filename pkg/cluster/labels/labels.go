// Package labels implements the clusters Fixed Label 0x0040 and User Label 0x0041,
// both revision 1 (sections 9.8 and 9.9 of the core specification).
package labels

import (
	"strings"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Labels is the state of both clusters on one endpoint.
type Labels struct {
	Room string // up to 16 octets, see [Fit]; empty: unknown
	User string // the list that controllers write, as TLV
}

// maxLabels is the maximum number of labels that a controller may write. A node
// must accept at least four (section 9.9.4.1).
const maxLabels = 4

// Fixed is the Fixed Label cluster. It contains the room from the device's network.
var Fixed = cluster.Define(cluster.Def[Labels]{
	Facts: datamodel.FixedLabel,
	Attributes: []cluster.Attribute[Labels]{
		cluster.Computed(datamodel.FixedLabelAttrLabelList, func(s *Labels, w *tlv.Writer, t tlv.Tag) {
			w.StartArray(t)
			if s.Room != "" {
				writeLabel(w, "room", s.Room)
			}
			w.End()
		}, func(a, b *Labels) bool { return a.Room == b.Room }),
	},
})

// User is the User Label cluster.
var User = cluster.Define(cluster.Def[Labels]{
	Facts: datamodel.UserLabel,
	Attributes: []cluster.Attribute[Labels]{
		cluster.Encoded(datamodel.UserLabelAttrLabelList, func(s *Labels) *string { return &s.User }, take),
	},
})

func writeLabel(w *tlv.Writer, label, value string) {
	w.StartStruct(tlv.Anonymous)
	w.Text(tlv.Context(0), label)
	w.Text(tlv.Context(1), value)
	w.End()
}

// take decodes a list of labels. Both strings may be empty, but must be present.
func take(r *tlv.Reader, w *tlv.Writer) error {
	n := 0
	w.StartArray(tlv.Anonymous)
	for r.EnterArray(); r.Next(); {
		if n++; n > maxLabels {
			return matter.StatusResourceExhausted
		}
		var text [2]string
		seen := 0
		for r.EnterStruct(); r.Next(); {
			if tag := r.ContextTag(); tag == 0 || tag == 1 {
				if text[tag] = r.Text(); len(text[tag]) > maxText {
					return matter.StatusConstraintError
				}
				seen |= 1 << tag
			}
		}
		r.Exit()
		if err := r.Err(); err != nil {
			return err
		}
		if seen != 3 {
			return matter.StatusConstraintError
		}
		writeLabel(w, text[0], text[1])
	}
	r.Exit()
	w.End()
	return r.Err()
}

// maxText is the maximum length of a label and of its value in octets.
const maxText = 16

// Fit shortens s to the length of a label's value, without splitting a character.
func Fit(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimSpace(s[:n])
}
