// Package devicesfile reads the file in which an operator describes bridged
// devices, or changes what their sources announce.
package devicesfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// MaxSize bounds the file, in octets.
const MaxSize = 1 << 20

// maxText bounds names and rooms, in octets.
const maxText = 256

// Error is what is wrong with the file, and where.
type Error struct {
	File string
	Line int
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// Parse parses the content of a file. Errors are of type [*Error] and contain name
// and the line. The member devices of the file is an object with an entry for each
// device by its id: name, room, hidden, type, options and parts. Entries may also stand in
// the file itself, without devices. The member parts is an object with name, type and options by the ids of the device's parts.
func Parse(name string, content []byte) (map[string]bridge.Override, error) {
	f := &file{name: name}
	var root yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, f.syntax(err)
	}
	all := map[string]bridge.Override{}
	entry := func(key, v *yaml.Node) error {
		if err := bridge.CheckID(key.Value); err != nil {
			return f.wrong(key, "%v", err)
		}
		if _, ok := all[key.Value]; ok {
			return f.wrong(key, "%q is there twice", key.Value)
		}
		o, err := f.device(v)
		all[key.Value] = o
		return err
	}
	err := f.groups(root.Content[0], entry, members{
		"devices": func(v *yaml.Node) error { return f.each(v, bridge.MaxDevices, entry) },
		"mqtt":    func(*yaml.Node) error { return nil }, // see ParseMQTT
	})
	return all, err
}

// file is the file that is being parsed.
type file struct{ name string }

// members holds the members that an object may have, each with the function that
// reads its value.
type members map[string]func(v *yaml.Node) error

func (f *file) wrong(n *yaml.Node, format string, args ...any) error {
	return &Error{f.name, n.Line, fmt.Sprintf(format, args...)}
}

// syntax turns an error of the YAML parser, whose text contains the line, into an
// Error.
func (f *file) syntax(err error) error {
	text := strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "yaml: ")
	line := 1
	if _, scan := fmt.Sscanf(text, "line %d:", &line); scan == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	return &Error{f.name, line, text}
}

// each reads the members of an object with arbitrary names.
func (f *file) each(n *yaml.Node, most int, take func(key, v *yaml.Node) error) error {
	switch {
	case n.Tag == "!!null":
		return nil
	case n.Kind == yaml.AliasNode:
		return f.wrong(n, "aliases are not possible here")
	case n.Kind != yaml.MappingNode:
		return f.wrong(n, "want an object, KEY: VALUE")
	case len(n.Content)/2 > most:
		return f.wrong(n, "it has %d members, more than %d", len(n.Content)/2, most)
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, v := n.Content[i], n.Content[i+1]
		if seen[key.Value] {
			return f.wrong(key, "%q is there twice", key.Value)
		}
		seen[key.Value] = true
		if err := take(key, v); err != nil {
			return err
		}
	}
	return nil
}

// groups reads the file itself: its members, and the devices that it has besides.
func (f *file) groups(n *yaml.Node, device func(key, v *yaml.Node) error, m members) error {
	return f.each(n, bridge.MaxDevices+len(m), func(key, v *yaml.Node) error {
		if strings.Contains(key.Value, ":") { // an id
			return device(key, v)
		}
		return f.member(m, key, v)
	})
}

func (f *file) object(n *yaml.Node, m members) error {
	return f.each(n, 100, func(key, v *yaml.Node) error { return f.member(m, key, v) })
}

func (f *file) member(m members, key, v *yaml.Node) error {
	take := m[key.Value]
	if take == nil {
		return f.wrong(key, "there is no member %q here; there are %s", key.Value, strings.Join(names(m), ", "))
	}
	return take(v)
}

func names(m members) (all []string) {
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func (f *file) device(n *yaml.Node) (o bridge.Override, err error) {
	only := bridge.PartOverride{}
	short := false
	one := func(take func(v *yaml.Node) error) func(v *yaml.Node) error {
		return func(v *yaml.Node) error {
			short = true
			return take(v)
		}
	}
	err = f.object(n, members{
		"name":    f.text(&o.Name),
		"room":    f.text(&o.Room),
		"hidden":  f.boolean(&o.Hidden),
		"type":    one(f.kind(&only)),
		"options": one(f.options(&only)),
		"parts": func(v *yaml.Node) error {
			o.Parts = map[string]bridge.PartOverride{}
			return f.each(v, bridge.MaxParts, func(key, v *yaml.Node) error {
				var p bridge.PartOverride
				err := f.object(v, members{"name": f.text(&p.Name), "type": f.kind(&p), "options": f.options(&p)})
				o.Parts[key.Value] = p
				return err
			})
		},
	})
	switch {
	case err != nil:
	case short && o.Parts != nil:
		err = f.wrong(n, "type and options stand either at the device or at its parts")
	case short:
		o.Parts = map[string]bridge.PartOverride{"": only}
	}
	return o, err
}

func (f *file) text(to **string) func(v *yaml.Node) error {
	return func(v *yaml.Node) error {
		switch {
		case v.Kind != yaml.ScalarNode || v.Tag == "!!null":
			return f.wrong(v, "want a text")
		case len(v.Value) > maxText:
			return f.wrong(v, "it has %d octets, more than %d", len(v.Value), maxText)
		case strings.ContainsFunc(v.Value, func(r rune) bool { return r < 0x20 || r == 0x7F }):
			return f.wrong(v, "it has a control character")
		}
		*to = &v.Value
		return nil
	}
}

func (f *file) boolean(to *bool) func(v *yaml.Node) error {
	return func(v *yaml.Node) error {
		if v.Decode(to) != nil || v.Tag != "!!bool" {
			return f.wrong(v, "want true or false, not %q", v.Value)
		}
		return nil
	}
}

func (f *file) kind(to *bridge.PartOverride) func(v *yaml.Node) error {
	return func(v *yaml.Node) error {
		if !slices.Contains(device.Types(), v.Value) {
			return f.wrong(v, "%v", &device.TypeError{Type: v.Value})
		}
		to.Type = v.Value
		return nil
	}
}

// options reads the options of a part. Whether they suit its type is checked when
// the part exists.
func (f *file) options(to *bridge.PartOverride) func(v *yaml.Node) error {
	return func(v *yaml.Node) error {
		all := map[string]json.RawMessage{}
		err := f.each(v, 100, func(key, v *yaml.Node) error {
			var x any
			if err := v.Decode(&x); err != nil {
				return f.syntax(err)
			}
			b, err := json.Marshal(x)
			if err != nil {
				return f.wrong(v, "%s: it is nothing that an option can be", key.Value)
			}
			one, err := json.Marshal(map[string]json.RawMessage{key.Value: b})
			if err != nil {
				return f.wrong(v, "%v", err)
			}
			d := json.NewDecoder(bytes.NewReader(one))
			d.DisallowUnknownFields()
			switch err := d.Decode(&device.Options{}); {
			case err == nil:
			case strings.Contains(err.Error(), "unknown field"):
				return f.wrong(key, "there is no option %q", key.Value)
			default:
				return f.wrong(v, "%s: %s does not suit the option", key.Value, b)
			}
			all[key.Value] = b
			return nil
		})
		if err != nil {
			return err
		}
		to.Options, err = json.Marshal(all)
		return err
	}
}
