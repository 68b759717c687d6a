package main

import (
	"fmt"
	"slices"
	"strings"
)

// kinds are the base types of the specification, by their names in the JSON.
var kinds = map[string]string{
	"bool": "Bool", "string": "Text", "octstr": "Octets", "single": "Float32", "double": "Float64",
	"uint8": "Uint8", "uint16": "Uint16", "uint24": "Uint24", "uint32": "Uint32", "uint40": "Uint40",
	"uint48": "Uint48", "uint56": "Uint56", "uint64": "Uint64",
	"int8": "Int8", "int16": "Int16", "int24": "Int24", "int32": "Int32", "int40": "Int40",
	"int48": "Int48", "int56": "Int56", "int64": "Int64",
	"enum8": "Enum8", "enum16": "Enum16",
	"map8": "Bitmap8", "map16": "Bitmap16", "map32": "Bitmap32", "map64": "Bitmap64",
	"": "Unknown",
}

// derived are types that the JSON uses without defining them.
var derived = map[string]string{
	"subject-id": "uint64", "fabric-id": "uint64", "endpoint-id": "uint16",
	"attribute-id": "uint32", "attrib-id": "uint32", "systemtime-us": "uint64",
	"namespace": "enum8", "tag": "enum8",
	"hwadr": "octstr", "ipv4adr": "octstr", "ipv6adr": "octstr", "ipv6pre": "octstr",
	"HVACSystemTypeBitmap": "map8", "ProgrammingOperationModeBitmap": "map8",
}

// globalTypes writes the types that do not belong to a cluster.
func (g *generator) globalTypes() {
	base := map[string]string{}
	for name, kind := range kinds {
		base[name] = kind
	}
	for name, of := range derived {
		base[name] = kinds[of]
	}
	for _, t := range g.model.Global {
		if t.Kind == "base" {
			base[t.Name] = kinds[t.Type]
		}
	}
	var b, rest strings.Builder
	b.WriteString("// Types that are encoded as one of the base types (section 7.19).\nvar (\n")
	names := make([]string, 0, len(base))
	for name := range base {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s = Type{Kind: %s, Name: %q}\n", g.declare(baseVar(name), "base type "+name), base[name], name)
	}
	b.WriteString(")\n")
	g.base = base
	for _, t := range g.model.Global {
		if t.Kind != "base" {
			g.typeDecl(&rest, nil, "", t)
		}
	}
	g.file("types_generated.go", "", b.String()+rest.String())
}

func baseVar(name string) string {
	if name == "" {
		name = "unknown"
	}
	return "type" + goName(name)
}

// typeDecl writes the variable for a type and, for an enum or bitmap, its Go type.
func (g *generator) typeDecl(b *strings.Builder, c *cluster, prefix string, t dataType) {
	v := g.declare(typeVar(prefix, t.Name), "type "+t.Name)
	switch t.Kind {
	case "number":
		fmt.Fprintf(b, "\nvar %s = Type{Kind: %s, Name: %q}\n", v, kinds[t.Type], t.Name)
	case "enum":
		if t.Name != "status" { // package matter has it
			g.enumType(b, prefix, t)
		}
		fmt.Fprintf(b, "\nvar %s = Type{Kind: Enum%d, Name: %q, Values: []Value{\n", v, max(t.Width, 8), t.Name)
		slices.SortFunc(t.Items, func(x, y item) int { return int(x.Value) - int(y.Value) })
		for _, i := range t.Items {
			fmt.Fprintf(b, "{Value: 0x%02X, Name: %q%s},\n", uint64(i.Value), i.Name, conformance(i.Conf))
		}
		b.WriteString("}}\n")
	case "bitmap":
		g.bitmapType(b, prefix, t)
		var all uint64
		for _, bit := range t.Bits {
			all |= bit.Bit.mask()
		}
		fmt.Fprintf(b, "\nvar %s = Type{Kind: Bitmap%d, Name: %q, Bits: 0x%X}\n", v, t.Width, t.Name, all)
	case "struct":
		fmt.Fprintf(b, "\nvar %s = Type{Kind: Struct, Name: %q, ", v, t.Name)
		if t.FabricScoped {
			b.WriteString("FabricScoped: true, ")
		}
		b.WriteString("Fields: []Field{\n")
		g.fields(b, c, t.Fields)
		b.WriteString("}}\n")
	default:
		g.fail("type %s: kind %q", t.Name, t.Kind)
	}
}

func (g *generator) enumType(b *strings.Builder, prefix string, t dataType) {
	name := g.declare(prefix+typeName(t.Name), "enum "+t.Name)
	fmt.Fprintf(b, "\n// %s is the enum %s.\ntype %s uint%d\n\n// The values of %s.\nconst (\n", name, t.Name, name, max(t.Width, 8), name)
	for _, i := range t.Items {
		fmt.Fprintf(b, "%s %s = 0x%02X\n", g.declare(name+goName(i.Name), "value of "+t.Name), name, uint64(i.Value))
	}
	b.WriteString(")\n")
}

func (g *generator) bitmapType(b *strings.Builder, prefix string, t dataType) {
	name := prefix + typeName(t.Name)
	if _, taken := g.names[name]; taken { // an enum of the same name
		name = prefix + goName(t.Name)
	}
	g.declare(name, "bitmap "+t.Name)
	fmt.Fprintf(b, "\n// %s is the bitmap %s.\ntype %s uint%d\n\n// The bits of %s.\nconst (\n", name, t.Name, name, t.Width, name)
	for _, bit := range t.Bits {
		value := fmt.Sprintf("1 << %d", bit.Bit.from)
		if bit.Bit.to != bit.Bit.from {
			value = fmt.Sprintf("0x%02X", bit.Bit.mask())
		}
		fmt.Fprintf(b, "%s %s = %s\n", g.declare(name+goName(bit.Name), "bit of "+t.Name), name, value)
	}
	b.WriteString(")\n")
}

func typeVar(prefix, name string) string {
	if prefix == "" {
		return "type" + goName(name)
	}
	return unexported(prefix) + "Type" + goName(name)
}

// typeExpr returns the expression for the pointer to a type of an element of c.
func (g *generator) typeExpr(c *cluster, name string) string {
	if entry, ok := strings.CutPrefix(name, "list["); ok {
		entry = strings.TrimSuffix(entry, "]")
		return fmt.Sprintf("&Type{Kind: List, Name: %q, Entry: %s}", name, g.typeExpr(c, entry))
	}
	if c != nil {
		for _, t := range c.Types {
			if t.Name == name {
				return "&" + typeVar(goName(c.Name), name)
			}
		}
	}
	for _, t := range g.model.Global {
		if t.Name == name && t.Kind != "base" {
			return "&" + typeVar("", name)
		}
	}
	if _, ok := g.base[name]; !ok {
		g.fail("no type %q", name)
	}
	return "&" + baseVar(name)
}
