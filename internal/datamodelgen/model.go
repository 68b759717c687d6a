package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// model is the data model in the form of the JSON; data/README.md explains the
// keys.
type model struct {
	Clusters    []cluster
	Global      []dataType
	DeviceTypes []deviceType
	Namespaces  []namespace
}

type cluster struct {
	ID         number     `json:"id"`
	Name       string     `json:"name"`
	Revision   uint16     `json:"rev"`
	Conf       string     `json:"conf"`
	Quality    string     `json:"q"`
	Features   []feature  `json:"features"`
	Attributes []element  `json:"attributes"`
	Commands   []element  `json:"commands"`
	Events     []element  `json:"events"`
	Types      []dataType `json:"types"`
}

type feature struct {
	Bit  uint8  `json:"bit"`
	Code string `json:"code"`
	Name string `json:"name"`
	Conf string `json:"conf"`
}

// element is an attribute, a command, an event or a field of one.
type element struct {
	ID              number    `json:"id"`
	Name            string    `json:"name"`
	Type            string    `json:"type"`
	Access          string    `json:"acc"`
	Quality         string    `json:"q"`
	Constraint      string    `json:"con"`
	EntryConstraint string    `json:"econ"`
	Conf            string    `json:"conf"`
	Direction       string    `json:"dir"`
	Response        string    `json:"resp"`
	Priority        string    `json:"prio"`
	Fields          []element `json:"fields"`
}

type dataType struct {
	Kind         string    `json:"kind"` // enum, bitmap, struct, number, base
	Name         string    `json:"name"`
	Type         string    `json:"type"` // of number and base
	Width        int       `json:"width"`
	FabricScoped bool      `json:"fabric_scoped"`
	Items        []item    `json:"items"`
	Bits         []bits    `json:"bits"`
	Fields       []element `json:"fields"`
}

type item struct {
	Value number `json:"v"`
	Name  string `json:"name"`
	Conf  string `json:"conf"`
}

type bits struct {
	Bit  bitRange `json:"bit"`
	Name string   `json:"name"`
}

type deviceType struct {
	ID         *number       `json:"id"` // nil for the base namespace
	Name       string        `json:"name"`
	Revision   uint16        `json:"rev"`
	Class      string        `json:"class"`
	Superset   string        `json:"superset"`
	Conditions []string      `json:"conditions"`
	Clusters   []requirement `json:"clusters"`
}

type requirement struct {
	ID         number    `json:"id"`
	Name       string    `json:"name"`
	Side       string    `json:"side"`
	Conf       string    `json:"conf"`
	Features   []feature `json:"features"`
	Attributes []element `json:"attributes"`
	Commands   []element `json:"commands"`
	Events     []element `json:"events"`
}

type namespace struct {
	ID   number            `json:"id"`
	Name string            `json:"name"`
	Tags map[string]uint16 `json:"tags"`
}

// number is a number in JSON, or a string with a prefix for the base.
type number uint64

func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseUint(unquote(b), 0, 32)
	*n = number(v)
	return err
}

// bitRange is one bit, or "from-to".
type bitRange struct{ from, to uint64 }

func (r *bitRange) UnmarshalJSON(b []byte) error {
	s := unquote(b)
	var err error
	for i := range s {
		if s[i] == '-' {
			if r.from, err = strconv.ParseUint(s[:i], 0, 6); err != nil {
				return err
			}
			r.to, err = strconv.ParseUint(s[i+1:], 0, 6)
			return err
		}
	}
	r.from, err = strconv.ParseUint(s, 0, 6)
	r.to = r.from
	return err
}

func (r bitRange) mask() uint64 { return 1<<(r.to+1) - 1<<r.from }

func unquote(b []byte) string {
	if len(b) >= 2 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	return string(b)
}

// read reads the three files of dir.
func read(dir string) (*model, error) {
	m := &model{}
	for name, into := range map[string]any{
		"clusters.json": &struct {
			Clusters *[]cluster  `json:"clusters"`
			Global   *[]dataType `json:"global_types"`
		}{&m.Clusters, &m.Global},
		"device-types.json": &struct {
			DeviceTypes *[]deviceType `json:"device_types"`
		}{&m.DeviceTypes},
		"namespaces.json": &struct {
			Namespaces *[]namespace `json:"namespaces"`
		}{&m.Namespaces},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return m, nil
}
