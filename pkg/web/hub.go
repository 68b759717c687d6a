package web

import (
	"bytes"
	"context"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

const (
	// batch is how long changes of devices are collected before they are sent to
	// browsers.
	batch = 250 * time.Millisecond

	// reload is the interval for reading all devices if changes may have been
	// missed.
	reload = 2 * time.Second

	// warm is how long devices are watched after the last page that shows them was
	// closed.
	warm = 30 * time.Second

	// maxGone is the number of removed devices that are remembered, so that
	// browsers can remove them.
	maxGone = 2000
)

// hub watches the devices once for all browsers. Each change has a number. A stream
// keeps the number of the last change it has sent. A slow browser gets only the
// latest state of each device, and nothing waits for it.
type hub struct {
	page   *Page
	status statusCache

	mu      sync.Mutex
	running bool
	loaded  chan struct{} // closed when the devices are known in this run
	err     error         // why they are not known
	wanted  time.Time     // when a page last used the hub
	epoch   string        // of this run
	version uint64
	seen    map[string]*row
	gone    map[string]uint64 // number of the removal by device
	changed chan struct{}     // closed with the next version
}

// row is a device and the number of its last change.
type row struct {
	view    *bridge.View   // read-only
	gesture device.Gesture // the latest since watching began, or ""
	version uint64
	once    sync.Once
	made    []byte // by html
}

// html returns the device as a line of the list. It is rendered once for all
// browsers.
func (r *row) html() []byte {
	r.once.Do(func() {
		var b bytes.Buffer
		if err := templates().ExecuteTemplate(&b, "row", lineOf(r.view, r.gesture, time.Now())); err != nil {
			panic("BUG: web: " + err.Error())
		}
		r.made = b.Bytes()
	})
	return r.made
}

// follow starts watching if needed, and waits until the devices are known.
func (h *hub) follow(ctx context.Context) error {
	h.mu.Lock()
	h.wanted = time.Now()
	if !h.running {
		h.running, h.err = true, nil
		h.loaded, h.changed = make(chan struct{}), make(chan struct{})
		h.epoch = strconv.FormatInt(time.Now().UnixNano(), 36)
		h.version = 0
		clear(h.seen)
		clear(h.gone)
		go h.run(h.loaded)
	}
	loaded := h.loaded
	h.mu.Unlock()
	select {
	case <-loaded:
	case <-ctx.Done():
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// run watches the devices until no page uses the hub.
func (h *hub) run(loaded chan struct{}) {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.running = false
		close(h.changed)
	}()
	var notices <-chan bridge.Notice
	missed := func() bool { return true }
	if h.page.opt.Watch == nil {
		close(loaded)
		return
	}
	if w, err := h.page.opt.Watch(); err == nil { // otherwise they are read repeatedly
		defer w.Close()
		notices, missed = w.C, w.Missed
	}
	err := h.load()
	h.mu.Lock()
	h.err = err
	h.mu.Unlock()
	close(loaded)
	if err != nil {
		return
	}
	h.loop(notices, missed)
}

func (h *hub) loop(notices <-chan bridge.Notice, missed func() bool) {
	tick := time.NewTicker(batch)
	defer tick.Stop()
	again := time.NewTicker(reload)
	defer again.Stop()
	latest := map[string]*bridge.View{} // nil: removed
	gestures := map[string]device.Gesture{}
	for {
		select {
		case n := <-notices:
			switch {
			case n.Event != nil:
				gestures[n.Event.Device] = n.Event.Gesture
			case n.Device != nil:
				latest[n.Device.ID] = n.Device
			case n.Removed != "":
				latest[n.Removed] = nil
			}
		case <-tick.C:
			h.take(latest)
			h.takeGestures(gestures)
			clear(latest)
			clear(gestures)
			if h.idle() {
				return
			}
		case <-again.C:
			if missed() {
				_ = h.load() // the node is stopping; the next call returns the error
			}
		case <-h.page.closed:
			return
		}
	}
}

// touch records that a page uses the hub.
func (h *hub) touch() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wanted = time.Now()
}

// idle reports whether no page has used the hub for a while.
func (h *hub) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.wanted) > warm
}

// load reads all devices.
func (h *hub) load() error {
	all, err := h.page.op.Devices(context.Background())
	if err != nil {
		return err
	}
	latest := map[string]*bridge.View{}
	for i := range all {
		latest[all[i].ID] = &all[i]
	}
	h.mu.Lock()
	for id := range h.seen {
		if _, there := latest[id]; !there {
			latest[id] = nil
		}
	}
	h.mu.Unlock()
	h.take(latest)
	return nil
}

// take records the latest state of some devices, and notifies browsers.
func (h *hub) take(latest map[string]*bridge.View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	version := h.version + 1
	changed := false
	for id, v := range latest {
		was := h.seen[id]
		switch {
		case v == nil && was != nil:
			delete(h.seen, id)
			h.gone[id] = version
			changed = true
		case v != nil && (was == nil || !reflect.DeepEqual(was.view, v)):
			fresh := &row{view: v, version: version}
			if was != nil {
				fresh.gesture = was.gesture
			}
			h.seen[id] = fresh
			delete(h.gone, id)
			changed = true
		}
	}
	if !changed {
		return
	}
	if len(h.gone) > maxGone {
		// Browsers must load everything again.
		h.epoch = strconv.FormatInt(time.Now().UnixNano(), 36)
		clear(h.gone)
	}
	h.notify(version)
}

// takeGestures records the latest gestures at buttons, and notifies browsers.
func (h *hub) takeGestures(newest map[string]device.Gesture) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := false
	for id, g := range newest {
		if was := h.seen[id]; was != nil {
			h.seen[id] = &row{view: was.view, gesture: g, version: h.version + 1}
			changed = true
		}
	}
	if changed {
		h.notify(h.version + 1)
	}
}

// notify notifies browsers of a new version.
func (h *hub) notify(version uint64) {
	h.version = version
	close(h.changed)
	h.changed = make(chan struct{})
}

// devices returns all devices, and a mark at which a stream can continue.
func (h *hub) devices(ctx context.Context) (all []*row, mark string, err error) {
	if err := h.follow(ctx); err != nil {
		return nil, "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	all = make([]*row, 0, len(h.seen))
	for _, r := range h.seen {
		all = append(all, r)
	}
	return all, h.mark(), nil
}

func (h *hub) mark() string { return h.epoch + "." + strconv.FormatUint(h.version, 10) }

// delta contains the changes since a mark.
type delta struct {
	mark    string
	whole   bool // all devices, since the mark is of another run
	changed []*row
	gone    []string
	next    <-chan struct{} // closed when there is more
}

// since returns the changes since a mark.
func (h *hub) since(mark string) delta {
	h.mu.Lock()
	defer h.mu.Unlock()
	epoch, text, _ := strings.Cut(mark, ".")
	version, err := strconv.ParseUint(text, 10, 64)
	d := delta{mark: h.mark(), next: h.changed}
	if err != nil || epoch != h.epoch || version > h.version {
		d.whole, version = true, 0
	}
	for _, r := range h.seen {
		if d.whole || r.version > version {
			d.changed = append(d.changed, r)
		}
	}
	for id, at := range h.gone {
		if at > version {
			d.gone = append(d.gone, id)
		}
	}
	return d
}

// next returns a channel that is closed at the next change.
func (h *hub) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// totals counts the devices.
func (h *hub) totals() (t totals) {
	ctx, cancel := context.WithTimeout(context.Background(), reload)
	defer cancel()
	if err := h.follow(ctx); err != nil {
		return t
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.seen {
		t.All++
		switch {
		case !r.view.Exposed:
			t.Hidden++
		case !r.view.Reachable:
			t.Unreachable++
		}
	}
	return t
}
