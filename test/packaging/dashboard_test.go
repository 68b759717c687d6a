//go:build packaging

package packaging

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

type panel struct {
	ID          int
	Type, Title string
	Description string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		RefID        string
		Expr         string
		LegendFormat string
	}
}

type dashboardFile struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Panels []panel
}

func dashboard(t *testing.T) *dashboardFile {
	t.Helper()
	d := new(dashboardFile)
	if err := json.Unmarshal([]byte(read(t, "../../deploy/grafana/opcredsd.json")), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// dashboardQuery is a query with the labels that its legend shows.
type dashboardQuery struct {
	panel, expr string
	labels      []string
	mayBeEmpty  bool
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

func dashboardQueries(t *testing.T) []dashboardQuery {
	t.Helper()
	var list []dashboardQuery
	d := dashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			q := dashboardQuery{panel: p.Title, expr: target.Expr}
			for _, m := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
				q.labels = append(q.labels, m[1])
			}
			list = append(list, q)
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			list = append(list, dashboardQuery{panel: "annotation " + a.Name, expr: a.Expr, mayBeEmpty: true})
		}
	}
	return list
}

// TestDashboardForm checks for mistakes that Grafana accepts silently.
func TestDashboardForm(t *testing.T) {
	d := dashboard(t)
	if d.UID != "opcredsd" || d.Title == "" || d.SchemaVersion < 36 {
		t.Errorf("uid %q, title %q, schema version %d", d.UID, d.Title, d.SchemaVersion)
	}
	variables := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
	}
	if variables["datasource"] != "datasource" || variables["instance"] != "query" {
		t.Errorf("variables %v", variables)
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: id %d is another panel's too", p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.X < 0 || g.W < 1 || g.X+g.W > 24 {
			t.Errorf("%s: outside of the 24 columns: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d: title %q, description %q, %d queries", p.ID, p.Title, p.Description, len(p.Targets))
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] {
				t.Errorf("%s: two queries %s", p.Title, target.RefID)
			}
			refs[target.RefID] = true
			for selector := range strings.SplitSeq(target.Expr, "{") {
				if strings.Contains(selector, "}") && !strings.Contains(selector, `instance=~"$instance"`) {
					t.Errorf("%s: %s: not for the chosen gateways only", p.Title, target.Expr)
				}
			}
		}
	}
}
