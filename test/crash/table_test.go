//go:build crash

package crash

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// row is one line of the printed table.
type row struct {
	test, scenario string
	calls          int // that can be disturbed
	tried          int
	found          [2]int // by outcome
	failed         int
	took           time.Duration
}

// table collects the results.
type table struct {
	mu   sync.Mutex
	rows []*row
}

var results table

// row begins a line.
func (t *table) row(test, scenario string) *row {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &row{test: test, scenario: scenario}
	t.rows = append(t.rows, r)
	return r
}

// shown is the number of printed failures per scenario.
const shown = 5

// add counts one point. An error is a failure, and fails the test.
func (r *row) add(t *testing.T, point string, o outcome, err error) {
	t.Helper()
	results.mu.Lock()
	defer results.mu.Unlock()
	r.tried++
	if err != nil {
		if r.failed++; r.failed <= shown {
			t.Errorf("%s: %v", point, err)
		} else {
			t.Fail()
		}
		return
	}
	r.found[o]++
}

// overall tests each scenario. test counts its points in the row; its error is a
// failure as well.
func overall(t *testing.T, name string, test func(t *testing.T, b *base, r *row) error) {
	overallOf(t, name, scenarios, test)
}

func overallOf(t *testing.T, name string, list []*scenario, test func(t *testing.T, b *base, r *row) error) {
	for _, s := range list {
		if s.long && testing.Short() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			began := time.Now()
			r := results.row(name, s.name)
			b, err := s.base()
			if err == nil {
				r.calls = b.calls
				err = test(t, b, r)
			}
			if err != nil {
				r.add(t, "the test itself", before, err)
			}
			r.took = time.Since(began)
		})
	}
}

// print writes the table.
func (t *table) print() {
	if len(t.rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ntest\tscenario\tcalls\tpoints\tbefore\tafter\tFAILED\tseconds\t")
	var sum row
	for _, r := range t.rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.1f\t\n", r.test, r.scenario, r.calls, r.tried, r.found[before], r.found[after], r.failed, r.took.Seconds())
		sum.tried += r.tried
		sum.failed += r.failed
		sum.found[before] += r.found[before]
		sum.found[after] += r.found[after]
		sum.took += r.took
	}
	fmt.Fprintf(w, "all\t\t\t%d\t%d\t%d\t%d\t%.1f\t\n", sum.tried, sum.found[before], sum.found[after], sum.failed, sum.took.Seconds())
	w.Flush()
}

// each calls f for every point, several at a time.
func each[T any](points iter.Seq[T], f func(T)) {
	next := make(chan T)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for p := range next {
				f(p)
			}
		})
	}
	for p := range points {
		next <- p
	}
	close(next)
	wg.Wait()
}
