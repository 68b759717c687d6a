package main

import (
	"math"
	"slices"
)

// sample is what the rounds of a measurement gave.
type sample []float64

// median returns the middle one, 0 of none.
func (s sample) median() float64 {
	if len(s) == 0 {
		return 0
	}
	t := slices.Sorted(slices.Values(s))
	if n := len(t); n%2 == 0 {
		return (t[n/2-1] + t[n/2]) / 2
	}
	return t[len(t)/2]
}

// least returns the least one.
func (s sample) least() float64 { return slices.Min(s) }

func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}
