package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// deviceTypes writes the table of device types.
func (g *generator) deviceTypes() {
	types := slices.Clone(g.model.DeviceTypes)
	slices.SortStableFunc(types, func(x, y deviceType) int { return int(deviceID(x)) - int(deviceID(y)) })
	var b strings.Builder
	b.WriteString("// Ids of device types.\nconst (\n")
	for _, d := range types {
		if d.ID != nil {
			fmt.Fprintf(&b, "%s matter.DeviceTypeID = 0x%04X\n", g.declare(deviceConst(d.Name), "device type"), deviceID(d))
		}
	}
	b.WriteString(")\n")
	for _, d := range types {
		if d.ID == nil {
			fmt.Fprintf(&b, "\n// %s holds what applies to every device type. It has no id.\nvar %s = &DeviceType",
				g.declare(goName(d.Name), "device type"), goName(d.Name))
			g.deviceType(&b, d)
			b.WriteString("\n")
		}
	}
	b.WriteString("\n// deviceTypes are all device types, ascending by id.\nvar deviceTypes = [...]DeviceType{\n")
	for _, d := range types {
		if d.ID != nil {
			g.deviceType(&b, d)
			b.WriteString(",\n")
		}
	}
	b.WriteString("}\n")
	g.file("devicetypes.go", matterImport, b.String())
}

func deviceID(d deviceType) uint64 {
	if d.ID == nil {
		return 0
	}
	return uint64(*d.ID)
}

func deviceConst(name string) string { return "DeviceType" + goName(name) }

func (g *generator) deviceType(b *strings.Builder, d deviceType) {
	b.WriteString("{\n")
	if d.ID != nil {
		fmt.Fprintf(b, "ID: %s,\n", deviceConst(d.Name))
	}
	fmt.Fprintf(b, "Name: %q,\nRevision: %d,\n", d.Name, d.Revision)
	if d.Class != "" {
		fmt.Fprintf(b, "Class: Class%s,\n", goName(d.Class))
	}
	if d.Superset != "" {
		fmt.Fprintf(b, "Superset: %s,\n", deviceConst(d.Superset))
	}
	if len(d.Conditions) > 0 {
		fmt.Fprintf(b, "Conditions: %#v,\n", d.Conditions)
	}
	list(b, "Clusters", "ClusterRequirement", d.Clusters, func(r requirement) { g.requirement(b, r) })
	b.WriteString("}")
}

func (g *generator) requirement(b *strings.Builder, r requirement) {
	fmt.Fprintf(b, "{ID: 0x%04X, Name: %q", uint64(r.ID), r.Name)
	if r.Side == "server" {
		b.WriteString(", Server: true")
	}
	b.WriteString(conformance(r.Conf))
	if len(r.Features) > 0 {
		b.WriteString(", Features: []FeatureRequirement{\n")
		for _, f := range r.Features {
			fmt.Fprintf(b, "{Code: %q%s},\n", f.Code, conformance(f.Conf))
		}
		b.WriteString("}")
	}
	for _, kind := range []struct {
		field, typ string
		list       []element
	}{
		{"Attributes", "AttributeRequirement", r.Attributes},
		{"Commands", "CommandRequirement", r.Commands},
		{"Events", "EventRequirement", r.Events},
	} {
		if len(kind.list) == 0 {
			continue
		}
		fmt.Fprintf(b, ", %s: []%s{\n", kind.field, kind.typ)
		for _, e := range kind.list {
			fmt.Fprintf(b, "{ID: 0x%02X, Name: %q", uint64(e.ID), e.Name)
			if l := limit("", e.Constraint, e.EntryConstraint); l != "" {
				fmt.Fprintf(b, ", Limit: Limit{%s}", l)
			}
			b.WriteString(conformance(e.Conf) + "},\n")
		}
		b.WriteString("}")
	}
	b.WriteString("},\n")
}

// namespaces writes the semantic tags.
func (g *generator) namespaces() {
	var b strings.Builder
	b.WriteString("// Namespaces of semantic tags (\"Matter Standard Namespaces\").\nconst (\n")
	for _, n := range g.model.Namespaces {
		fmt.Fprintf(&b, "%s uint8 = 0x%02X\n", g.declare("Namespace"+goName(n.Name), "namespace"), uint64(n.ID))
	}
	b.WriteString(")\n")
	for _, n := range g.model.Namespaces {
		fmt.Fprintf(&b, "\n// Tags of the namespace %s.\nconst (\n", n.Name)
		tags := slices.SortedFunc(maps.Keys(n.Tags), func(x, y string) int { return int(n.Tags[x]) - int(n.Tags[y]) })
		for _, t := range tags {
			fmt.Fprintf(&b, "%s uint8 = 0x%02X\n", g.declare("Tag"+goName(n.Name)+goName(t), "tag"), n.Tags[t])
		}
		b.WriteString(")\n")
	}
	g.file("namespaces.go", "", b.String())
}
