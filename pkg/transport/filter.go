package transport

import (
	"maps"
	"net"
	"slices"
	"time"
)

const (
	// filterFresh is how long an interface index is trusted to carry its name.
	filterFresh = 5 * time.Second
	// filterTidy is from how many indices on those are forgotten that have not been
	// seen for so long: interfaces of containers come and go, each with a new one.
	filterTidy = 64
)

// filter keeps the datagrams of named interfaces. The kernel reports an index;
// its name is looked up and remembered for a short while, as interfaces come,
// go and are renamed. It is for one goroutine.
type filter struct {
	names   []string
	name    func(index int) (string, error)
	now     func() time.Time
	verdict map[int]verdict
}

type verdict struct {
	allowed bool
	until   time.Time
}

// newFilter returns nil, which allows everything, for no names.
func newFilter(names []string) *filter {
	if len(names) == 0 {
		return nil
	}
	return &filter{
		names:   slices.Clone(names),
		name:    interfaceName,
		now:     time.Now,
		verdict: make(map[int]verdict),
	}
}

func interfaceName(index int) (string, error) {
	ifi, err := net.InterfaceByIndex(index)
	if err != nil {
		return "", err
	}
	return ifi.Name, nil
}

func (f *filter) allows(index int) bool {
	if f == nil {
		return true
	}
	now := f.now()
	v, ok := f.verdict[index]
	if ok && now.Before(v.until) {
		return v.allowed
	}
	name, err := f.name(index)
	if err != nil {
		// Gone since: its datagrams are history too.
		delete(f.verdict, index)
		return false
	}
	if !ok && len(f.verdict) >= filterTidy {
		maps.DeleteFunc(f.verdict, func(_ int, v verdict) bool { return !now.Before(v.until) })
	}
	v = verdict{allowed: slices.Contains(f.names, name), until: now.Add(filterFresh)}
	f.verdict[index] = v
	return v.allowed
}
