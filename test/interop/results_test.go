//go:build interop && certification

package interop

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	devices "github.com/opcredsd/opcredsd/pkg/device"
)

// results collects what each script and plan has resulted in. A run adds a line for each
// to results.tsv in the directory RESULTS (default out/certification), and makes results.md
// of the lines of this commit. So runs that select a part of the list (SCRIPT) fill one
// table.
type results struct {
	t           *testing.T
	dir, commit string

	mu  sync.Mutex
	err error // the first
}

// result is a line of the table.
type result struct {
	commit, device, name, verdict, seconds, did, settings string
}

// passed is the verdict of a script that has passed.
const passed = "passed"

// openResults returns the results of this run, and writes the table when t has ended.
func openResults(t *testing.T) *results {
	t.Helper()
	x := &results{t: t, dir: cmp.Or(os.Getenv("RESULTS"), "out/certification")}
	if err := os.MkdirAll(x.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*").Output()
	if err != nil {
		t.Fatalf("the commit: %v", err)
	}
	x.commit = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if err := errors.Join(x.err, x.table()); err != nil {
			t.Error(err)
		}
	})
	return x
}

// add adds a line. did is what the script or plan says of itself.
func (x *results) add(device, name string, err error, took time.Duration, did string, settings ...string) {
	verdict := passed
	if err != nil {
		verdict, did = "failed", err.Error()
	}
	line := strings.Join([]string{
		x.commit, device, name, verdict, fmt.Sprintf("%.0f", took.Seconds()), did, strings.TrimSpace(strings.Join(settings, " ")),
	}, "\t")
	x.mu.Lock()
	defer x.mu.Unlock()
	f, err := os.OpenFile(filepath.Join(x.dir, "results.tsv"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = fmt.Fprintln(f, strings.ReplaceAll(line, "\n", " "))
		err = errors.Join(err, f.Close())
	}
	if x.err == nil {
		x.err = err
	}
}

// table writes the table of this commit: the last result of everything in the lists, in
// their order.
func (x *results) table() error {
	b, err := os.ReadFile(filepath.Join(x.dir, "results.tsv"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	last := map[[2]string]result{}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) == 7 && f[0] == x.commit {
			last[[2]string{f[1], f[2]}] = result{f[0], f[1], f[2], f[3], f[4], f[5], f[6]}
		}
	}
	var table strings.Builder
	counts := map[string]int{}
	list := certificationList()
	for _, k := range list {
		r, ok := last[k]
		if !ok {
			r = result{device: k[0], name: k[1], verdict: "not run"}
		}
		counts[r.verdict]++
		fmt.Fprintf(&table, "| %s |\n", strings.Join([]string{r.device, r.name, r.verdict, r.seconds, r.did, r.settings}, " | "))
	}
	head := fmt.Sprintf("Commit %s: %d passed, %d failed, %d not run, of %d.\n", x.commit, counts[passed], counts["failed"], counts["not run"], len(list))
	x.t.Log(head)
	return os.WriteFile(filepath.Join(x.dir, "results.md"), []byte(head+
		"\n| device | script or plan | result | seconds | tests or steps | settings |\n| --- | --- | --- | --- | --- | --- |\n"+table.String()), 0o644)
}

// theNode is the device of the scripts for a node without applications.
const theNode = "node"

// place returns the name of a tryout's device in the table.
func (x *tryout) place() string {
	if x.device == "" {
		return "every_type"
	}
	if x.part != "" {
		return x.device + " " + x.part
	}
	return x.device
}

// settings returns those of a tryout.
func (x *tryout) settings() []string {
	s := slices.Concat(x.sets, x.pics)
	if x.seconds != "" {
		s = append(s, "SOURCE_SECONDS="+x.seconds)
	}
	return s
}

// certificationList returns the devices and names of all scripts and plans.
func certificationList() (all [][2]string) {
	for _, s := range scripts {
		all = append(all, [2]string{theNode, s.name})
	}
	for _, x := range slices.Concat(tryouts, endpointTryouts()) {
		for _, line := range x.scripts {
			all = append(all, [2]string{x.place(), strings.Fields(line)[0]})
		}
		for _, name := range strings.Fields(x.plans) {
			all = append(all, [2]string{x.place(), name})
		}
	}
	return all
}

// Each line of the lists has its own place in the table, and a device that exists.
func TestCertificationList(t *testing.T) {
	seen := map[[2]string]bool{}
	for _, k := range certificationList() {
		if seen[k] {
			t.Errorf("%s is there twice for %s", k[1], k[0])
		}
		seen[k] = true
	}
	all := library()
	for _, x := range slices.Concat(tryouts, endpointTryouts()) {
		if x.device != "" && x.device != demoLamp && !slices.ContainsFunc(all, func(d devices.Device) bool { return d.ID == "api:"+x.device }) {
			t.Errorf("the library has no %s", x.device)
		}
	}
}
