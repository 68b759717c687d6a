package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// timing holds the durations of one kind of operation.
type timing struct {
	name   string
	took   []time.Duration
	failed int
}

// timings are in the order in which the kinds first occurred.
type timings []*timing

func (l *timings) of(name string) *timing {
	for _, t := range *l {
		if t.name == name {
			return t
		}
	}
	t := &timing{name: name}
	*l = append(*l, t)
	return t
}

// do measures f.
func (l *timings) do(name string, f func() error) error {
	t := l.of(name)
	begin := time.Now()
	err := f()
	if err != nil {
		t.failed++
		return fmt.Errorf("%s: %w", name, err)
	}
	t.took = append(t.took, time.Since(begin))
	return nil
}

// at returns a quantile from 0 to 1.
func (t *timing) at(q float64) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(t.took))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// beyond returns the number of operations that took longer than limit.
func (l *timings) beyond(limit time.Duration) (n int) {
	for _, t := range *l {
		for _, d := range t.took {
			if d > limit {
				n++
			}
		}
	}
	return n
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))
}

// table prints rows as Markdown with aligned columns.
func table(rows ...[]string) {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 0, ' ', 0)
	for i, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, "\t | "))
		if i == 0 {
			line := slices.Repeat([]string{"---"}, len(row))
			fmt.Fprintf(w, "| %s |\n", strings.Join(line, "\t | "))
		}
	}
	_ = w.Flush() // standard output
	fmt.Println()
}

func (l *timings) print() {
	rows := [][]string{{"operation", "number", "failed", "median, ms", "99 %, ms", "longest, ms"}}
	for _, t := range *l {
		rows = append(rows, []string{t.name, fmt.Sprint(len(t.took)), fmt.Sprint(t.failed), ms(t.at(.5)), ms(t.at(.99)), ms(t.at(1))})
	}
	table(rows...)
}
