package main

import (
	"fmt"
	"slices"
	"strings"
)

// cluster writes the file of one cluster.
func (g *generator) cluster(c *cluster) {
	var b strings.Builder
	c.Attributes = slices.DeleteFunc(c.Attributes, unused)
	c.Commands = slices.DeleteFunc(c.Commands, unused)
	c.Events = slices.DeleteFunc(c.Events, unused)
	for _, list := range [][]element{c.Attributes, c.Commands, c.Events} {
		slices.SortStableFunc(list, byID)
	}
	g.ids(&b, c)
	g.table(&b, c)
	for _, t := range c.Types {
		g.typeDecl(&b, c, goName(c.Name), t)
	}
	g.file("cluster_"+strings.ToLower(goName(c.Name))+".go", matterImport, b.String())
}

// unused reports whether the specification reserves an id without a name.
func unused(e element) bool { return e.Name == "DoNotUse" }

// ids writes the constants of a cluster.
func (g *generator) ids(b *strings.Builder, c *cluster) {
	name := goName(c.Name)
	fmt.Fprintf(b, "// Ids of %s.\nconst (\n%s matter.ClusterID = 0x%04X\n", c.Name, g.declare(name+"ID", "id"), uint64(c.ID))
	for _, kind := range []struct {
		infix, typ, format string
		list               []element
	}{
		{"Attr", "matter.AttributeID", "0x%04X", c.Attributes},
		{"Cmd", "matter.CommandID", "0x%02X", c.Commands},
		{"Event", "matter.EventID", "0x%02X", c.Events},
	} {
		for i, e := range kind.list {
			if i == 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(b, "%s %s = "+kind.format+"\n", g.declare(name+kind.infix+goName(e.Name), kind.infix), kind.typ, uint64(e.ID))
		}
	}
	b.WriteString(")\n")
	if len(c.Features) == 0 {
		return
	}
	fmt.Fprintf(b, "\n// Features of %s.\nconst (\n", c.Name)
	for _, f := range c.Features {
		fmt.Fprintf(b, "%s uint32 = 1 << %d // %s\n", g.declare(name+"Feature"+goName(f.Name), "feature"), f.Bit, f.Code)
	}
	b.WriteString(")\n")
}

// table writes the Cluster.
func (g *generator) table(b *strings.Builder, c *cluster) {
	name := g.declare(goName(c.Name), "cluster")
	fmt.Fprintf(b, "\n// %s holds the facts of the cluster %s.\nvar %s = &Cluster{\nID: %sID,\nName: %q,\nRevision: %d,\n",
		name, c.Name, name, name, c.Name, c.Revision)
	if c.Conf != "" {
		fmt.Fprintf(b, "Conformance: %q,\n", c.Conf)
	}
	if strings.Contains(c.Quality, "K") {
		b.WriteString("Diagnostics: true,\n")
	}
	list(b, "Features", "Feature", c.Features, func(f feature) {
		fmt.Fprintf(b, "{Bit: %d, Code: %q, Name: %q%s},\n", f.Bit, f.Code, f.Name, conformance(f.Conf))
	})
	list(b, "Attributes", "Attribute", c.Attributes, func(e element) { g.attribute(b, c, e) })
	var requests, responses []element
	for _, e := range c.Commands {
		if e.Direction == "in" {
			requests = append(requests, e)
		} else {
			responses = append(responses, e)
		}
	}
	list(b, "Commands", "Command", requests, func(e element) { g.command(b, c, e, responses) })
	list(b, "Responses", "Command", responses, func(e element) { g.command(b, c, e, nil) })
	list(b, "Events", "Event", c.Events, func(e element) { g.event(b, c, e) })
	b.WriteString("}\n")
}

func list[T any](b *strings.Builder, field, typ string, entries []T, write func(T)) {
	if len(entries) == 0 {
		return
	}
	fmt.Fprintf(b, "%s: []%s{\n", field, typ)
	for _, e := range entries {
		write(e)
	}
	b.WriteString("},\n")
}

func (g *generator) attribute(b *strings.Builder, c *cluster, e element) {
	fmt.Fprintf(b, "{ID: %sAttr%s, Name: %q, Type: %s", goName(c.Name), goName(e.Name), e.Name, g.typeExpr(c, e.Type))
	b.WriteString(g.parseAccess(e.Access, false).fields())
	b.WriteString(flags("Quality", e.Quality, qualities))
	if l := limit(e.Type, e.Constraint, e.EntryConstraint); l != "" {
		fmt.Fprintf(b, ", Limit: Limit{%s}", l)
	}
	b.WriteString(conformance(e.Conf))
	b.WriteString("},\n")
}

func (g *generator) command(b *strings.Builder, c *cluster, e element, responses []element) {
	fmt.Fprintf(b, "{ID: %sCmd%s, Name: %q", goName(c.Name), goName(e.Name), e.Name)
	if e.Direction == "in" {
		response := "NoResponse"
		if e.Response != "status" {
			i := slices.IndexFunc(responses, func(r element) bool { return r.Name == e.Response })
			if i < 0 {
				g.fail("%s %s: no response %q", c.Name, e.Name, e.Response)
				return
			}
			response = goName(c.Name) + "Cmd" + goName(e.Response)
		}
		fmt.Fprintf(b, ", Response: %s%s", response, g.parseAccess(e.Access, true).fields())
	}
	b.WriteString(conformance(e.Conf))
	g.elementFields(b, c, e)
}

func (g *generator) event(b *strings.Builder, c *cluster, e element) {
	priority := map[string]int{"debug": 0, "info": 1, "critical": 2}[e.Priority]
	fmt.Fprintf(b, "{ID: %sEvent%s, Name: %q, Priority: %d%s%s", goName(c.Name), goName(e.Name), e.Name, priority,
		g.parseAccess(e.Access, false).fields(), conformance(e.Conf))
	g.elementFields(b, c, e)
}

func (g *generator) elementFields(b *strings.Builder, c *cluster, e element) {
	fields := slices.DeleteFunc(slices.Clone(e.Fields), unused)
	if len(fields) > 0 {
		b.WriteString(", Fields: []Field{\n")
		g.fields(b, c, fields)
		b.WriteString("}")
	}
	b.WriteString("},\n")
}

// clusterTable writes the table for ClusterByID.
func (g *generator) clusterTable() {
	sorted := slices.Clone(g.model.Clusters)
	slices.SortFunc(sorted, func(x, y cluster) int { return int(x.ID) - int(y.ID) })
	var b strings.Builder
	b.WriteString("// clusters are all clusters, ascending by id.\nvar clusters = [...]*Cluster{\n")
	for _, c := range sorted {
		fmt.Fprintf(&b, "%s,\n", goName(c.Name))
	}
	b.WriteString("}\n")
	g.file("clusters.go", "", b.String())
}
