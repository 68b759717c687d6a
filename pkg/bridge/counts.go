package bridge

import "time"

// result is what became of a command.
type result string

const (
	resultConfirmed result = "confirmed"
	resultReverted  result = "reverted"
	resultFailed    result = "failed"
)

// counts are what metrics show.
type counts struct {
	updates  map[string]uint64
	commands map[CommandKey]uint64
	confirm  Histogram
}

// CommandKey tells apart the commands that are counted.
type CommandKey struct{ Source, Result string }

// Histogram counts durations by upper bounds.
type Histogram struct {
	Counts [len(ConfirmBuckets) + 1]uint64
	Sum    time.Duration
	Total  uint64
}

// ConfirmBuckets are the upper bounds of the histogram of confirmations, in seconds.
var ConfirmBuckets = [...]float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}

func (c *counts) update(source string) {
	if c.updates == nil {
		c.updates = map[string]uint64{}
	}
	c.updates[Front(source)]++
}

func (c *counts) command(source string, res result) {
	if c.commands == nil {
		c.commands = map[CommandKey]uint64{}
	}
	c.commands[CommandKey{Front(source), string(res)}]++
}

func (c *counts) confirmed(d time.Duration) {
	i := 0
	for i < len(ConfirmBuckets) && d.Seconds() > ConfirmBuckets[i] {
		i++
	}
	c.confirm.Counts[i]++
	c.confirm.Sum += d
	c.confirm.Total++
}
