package exchange

import "time"

// queue is a heap of the exchanges that wait for a time. The earliest is first.
// Each exchange stores its index, so that a change takes logarithmic time.
type queue []*Exchange

// set adds x to the queue at the given time, or moves it there. The zero time
// removes it.
func (q *queue) set(x *Exchange, at time.Time) {
	switch {
	case at.IsZero() && x.place == 0:
	case at.IsZero():
		q.remove(x)
	case x.place == 0:
		x.wake = at
		*q = append(*q, x)
		x.place = len(*q)
		q.up(x.place - 1)
	case !at.Equal(x.wake):
		x.wake = at
		q.down(x.place - 1)
		q.up(x.place - 1)
	}
}

func (q *queue) remove(x *Exchange) {
	i, last := x.place-1, len(*q)-1
	q.swap(i, last)
	(*q)[last] = nil
	*q = (*q)[:last]
	x.place = 0
	if i < last {
		moved := (*q)[i]
		q.down(i)
		q.up(moved.place - 1)
	}
}

// less orders by time, then by age, so that exchanges that are due at the same time
// are handled in a fixed order.
func (q queue) less(i, j int) bool {
	if c := q[i].wake.Compare(q[j].wake); c != 0 {
		return c < 0
	}
	return q[i].serial < q[j].serial
}

func (q queue) swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i+1, j+1
}

func (q queue) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !q.less(i, parent) {
			return
		}
		q.swap(i, parent)
		i = parent
	}
}

func (q queue) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(q) {
			return
		}
		if child+1 < len(q) && q.less(child+1, child) {
			child++
		}
		if !q.less(child, i) {
			return
		}
		q.swap(i, child)
		i = child
	}
}
