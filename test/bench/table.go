package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
)

// unit is what a figure counts, and how it is shown.
type unit int

const (
	cpu  unit = iota // nanoseconds
	mebi             // octets
	kibi             // octets
	number
	factor
	share
)

func (u unit) format(v float64) string {
	switch u {
	case cpu:
		if v < 100e3 {
			return fmt.Sprintf("%.1f µs", v/1e3)
		}
		return fmt.Sprintf("%.2f ms", v/1e6)
	case mebi:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case kibi:
		return fmt.Sprintf("%.1f KiB", v/(1<<10))
	case share:
		return fmt.Sprintf("%.1f %%", 100*v)
	case factor:
		return fmt.Sprintf("%.2f x", v)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// figure is one line of the table. Zero is what is not there.
type figure struct {
	name   string
	unit   unit
	value  float64
	spread sample // rounds that value is the median of
	goal   float64
	floor  float64
	times  float64 // the goal as a multiple of the floor, which counts more than goal
	peer   float64
	note   string
}

func (f *figure) met() string {
	switch {
	case f.times != 0 && f.floor != 0:
		if f.value <= f.times*f.floor {
			return "yes"
		}
		return "NO"
	case f.goal == 0:
		return ""
	case f.value <= f.goal:
		return "yes"
	}
	return "NO"
}

// want shows the goal.
func (f *figure) want() string {
	switch {
	case f.times != 0 && f.floor != 0:
		return fmt.Sprintf("%.1f x floor", f.times)
	case f.goal == 0:
		return "-"
	}
	return f.unit.format(f.goal)
}

// write shows the table; peers says whether another device was measured.
func write(w io.Writer, list []figure, peers bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "operation\tmeasured\tgoal\tmet\tfloor\tratio\tspread\t"
	if peers {
		head += "matter.js\tratio\t"
	}
	fmt.Fprintln(t, head)
	show := func(u unit, v float64) string {
		if v == 0 {
			return "-"
		}
		return u.format(v)
	}
	for i := range list {
		f := &list[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t", f.name, f.unit.format(f.value), f.want(), f.met(),
			show(f.unit, f.floor), ratio(f.value, f.floor), f.rounds())
		if peers {
			fmt.Fprintf(t, "%s\t%s\t", show(f.unit, f.peer), ratio(f.peer, f.value))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range list {
		if f := &list[i]; f.note != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", f.name, f.note); err != nil {
				return err
			}
		}
	}
	return nil
}

// rounds shows the least and the greatest round.
func (f *figure) rounds() string {
	if len(f.spread) < 2 {
		return "-"
	}
	return f.unit.format(slices.Min(f.spread)) + " .. " + f.unit.format(slices.Max(f.spread))
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", a/b)
}
