package main

import (
	"fmt"
	"go/format"
	"slices"
	"strings"
)

// generator generates the files of the package.
type generator struct {
	model *model
	base  map[string]string // base types and their kinds
	files map[string][]byte
	names map[string]string // every package-level name, and what it is used for
	errs  []error
}

func (g *generator) fail(format string, args ...any) {
	g.errs = append(g.errs, fmt.Errorf(format, args...))
}

// declare reserves name for what, and fails if the name is in use.
func (g *generator) declare(name, what string) string {
	if other, taken := g.names[name]; taken {
		g.fail("%s stands for %s and for %s", name, other, what)
	}
	g.names[name] = what
	return name
}

// file formats body as a file of the package.
func (g *generator) file(name, imports, body string) {
	if imports != "" {
		imports = fmt.Sprintf("import %q\n\n", imports)
	}
	text, err := format.Source([]byte(header + "\npackage datamodel\n\n" + imports + body))
	if err != nil {
		g.fail("%s: %w", name, err)
	}
	g.files[name] = text
}

const matterImport = "github.com/opcredsd/opcredsd/pkg/matter"

func conformance(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(", Conformance: %q", s)
}

// flags writes the constants for letters, or "" for none.
func flags(field, letters string, of map[rune]string) string {
	var set []string
	for _, l := range letters {
		if name, ok := of[l]; ok && !slices.Contains(set, name) {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return ""
	}
	return fmt.Sprintf(", %s: %s", field, strings.Join(set, " | "))
}

var qualities = map[rune]string{
	'X': "Nullable", 'N': "NonVolatile", 'F': "Fixed", 'S': "Scene",
	'Q': "Quieter", 'C': "ChangesOmitted", 'T': "Atomic",
}

var modifiers = map[rune]string{'F': "FabricScoped", 'S': "FabricSensitive", 'T': "Timed"}

var privileges = map[byte]string{
	'V': "matter.PrivilegeView", 'O': "matter.PrivilegeOperate",
	'M': "matter.PrivilegeManage", 'A': "matter.PrivilegeAdminister",
}

// access is a parsed acc key.
type access struct {
	read, write, privilege string // constants, or ""
	optionalWrite          bool
	modifiers              string // letters
}

// parseAccess parses an acc key: "RW VO F", "R A S", or "A T" of a command. A
// command without a privilege requires Operate (section 7.6).
func (g *generator) parseAccess(acc string, command bool) access {
	var a access
	words := strings.Fields(acc)
	operations := ""
	if len(words) > 0 && strings.HasPrefix(words[0], "R") {
		operations, words = words[0], words[1:]
	}
	var letters string
	if len(words) > 0 && privileges[words[0][0]] != "" {
		letters, words = words[0], words[1:]
	}
	a.modifiers = strings.Join(words, "")
	if strings.Trim(a.modifiers, "FST") != "" {
		g.fail("access %q", acc)
	}
	if command {
		a.privilege = privileges['O']
		if letters != "" {
			a.privilege = privileges[letters[0]]
		}
		return a
	}
	if operations == "" || letters == "" {
		return a
	}
	a.read = privileges[letters[0]]
	if strings.Contains(operations, "W") {
		a.write = privileges[letters[len(letters)-1]]
		a.optionalWrite = strings.Contains(operations, "[W]")
	}
	return a
}

func (a access) fields() string {
	m := a.modifiers
	of := map[rune]string{'W': "OptionalWrite"}
	for k, v := range modifiers {
		of[k] = v
	}
	if a.optionalWrite {
		m += "W"
	}
	s := flags("Access", m, of)
	p := ""
	for _, f := range []struct{ name, value string }{{"Read", a.read}, {"Write", a.write}, {"Privilege", a.privilege}} {
		if f.value != "" {
			p += fmt.Sprintf(", %s: %s", f.name, f.value)
		}
	}
	return p + s
}

// fields writes the fields of a command, event or structure.
func (g *generator) fields(b *strings.Builder, c *cluster, fields []element) {
	slices.SortFunc(fields, byID)
	for _, f := range fields {
		fmt.Fprintf(b, "{ID: %d, Name: %q, Type: %s", uint64(f.ID), f.Name, g.typeExpr(c, f.Type))
		b.WriteString(flags("Quality", f.Quality, qualities))
		b.WriteString(flags("Access", f.Access, modifiers))
		if l := limit(f.Type, f.Constraint, f.EntryConstraint); l != "" {
			fmt.Fprintf(b, ", Limit: Limit{%s}", l)
		}
		b.WriteString(conformance(f.Conf))
		b.WriteString("},\n")
	}
}

func byID(x, y element) int { return int(x.ID) - int(y.ID) }
