package web

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// builders build the content of pages, by name.
var builders = map[string]func(p *Page, r *http.Request, f *frame) error{
	"home":          (*Page).home,
	"devices":       (*Page).devices,
	"device":        (*Page).oneDevice,
	"remove-device": (*Page).removingDevice,
	"ignored":       (*Page).ignored,
	"fabrics":       (*Page).fabrics,
	"remove-fabric": (*Page).removingFabric,
	"health":        (*Page).health,
	"log":           (*Page).logLines,
}

// build builds a page without the parts that depend on the session.
func (p *Page) build(r *http.Request, name string) (*frame, error) {
	f := &frame{Page: name, Now: time.Now()}
	if err := builders[name](p, r, f); err != nil {
		return nil, err
	}
	return f, nil
}

// statusAge is the maximum age of the cached status. Pages that several browsers
// follow do not query the node for each of them.
const statusAge = 500 * time.Millisecond

// statusCache caches the node's status for a moment.
type statusCache struct {
	mu sync.Mutex
	at time.Time
	s  admin.Status
}

// forget invalidates the cache after a change.
func (c *statusCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = time.Time{}
}

func (p *Page) status(ctx context.Context) (admin.Status, error) {
	c := &p.hub.status
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < statusAge {
		return c.s, nil
	}
	s, err := p.op.Status(ctx)
	if err == nil {
		c.at, c.s = time.Now(), s
	}
	return s, err
}

// homeBody is the content of the first page.
type homeBody struct {
	Status  admin.Status
	Ready   bool
	Fault   string
	Homes   []string // the ecosystems
	Devices totals
	Window  *window // nil: closed
	Paired  bool
	Next    []step
	Bridge  bool
}

// window is an open commissioning window.
type window struct {
	Closes    time.Time
	QR        template.HTML
	Manual    string
	Payload   string
	Reason    string // why there are no codes
	FailSafe  bool   // a pairing is in progress
	CanExtend bool
}

// step is a suggestion for what to do next.
type step struct{ Text, Link, Href, Code string }

// totals count devices.
type totals struct{ All, Unreachable, Hidden int }

func (p *Page) home(r *http.Request, f *frame) error {
	s, err := p.status(r.Context())
	if err != nil {
		return err
	}
	b := &homeBody{Status: s, Ready: s.Ready, Fault: s.Fault, Paired: len(s.Fabrics) > 0, Bridge: p.opt.Watch != nil}
	for _, x := range s.Fabrics {
		if name := ecosystem(x.VendorID); !slices.Contains(b.Homes, name) {
			b.Homes = append(b.Homes, name)
		}
	}
	b.Devices = p.hub.totals()
	if b.Window, err = p.window(r.Context(), &s); err != nil {
		return err
	}
	b.Next = p.next(b)
	f.Title, f.Tab, f.Live, f.Body = "Home", "home", "/live/home", b
	return nil
}

// window returns the open window with the codes for it.
func (p *Page) window(ctx context.Context, s *admin.Status) (*window, error) {
	if s.Window.Kind == "closed" {
		return nil, nil
	}
	w := &window{FailSafe: s.FailSafe.Armed}
	if s.Window.Closes != nil {
		w.Closes = *s.Window.Closes
	}
	var codes admin.Pairing
	if s.Window.Kind == "enhanced" {
		last := p.windows.get()
		if last.Closes.Sub(w.Closes).Abs() > time.Second {
			w.Reason = "The window was opened elsewhere, with its own code, which only the person who opened it has."
			return w, nil
		}
		codes = last.Pairing
	} else {
		var err error
		if codes, err = p.op.Pairing(ctx); err != nil {
			w.Reason = sentence(err.Error())
			return w, nil
		}
	}
	if codes.QR == "" || len(codes.Manual) != 11 {
		w.Reason = "The codes are on the product's label: the node keeps only what verifies them."
		return w, nil
	}
	w.Payload, w.Manual = codes.QR, codes.Manual[:4]+"-"+codes.Manual[4:7]+"-"+codes.Manual[7:]
	svg, err := qrSVG(codes.QR, "QR code for pairing; the code in digits is beside it")
	w.QR = svg
	return w, err
}

// next returns what to do next.
func (p *Page) next(b *homeBody) (steps []step) {
	if !b.Ready {
		steps = append(steps, step{Text: "Controllers cannot find this node.", Link: "See what is wrong", Href: "/health"})
	}
	if !b.Paired && b.Window != nil {
		steps = append(steps, step{Text: "Scan the code above with your home app."})
	} else if !b.Paired {
		steps = append(steps, step{Text: "Open for pairing, and scan the code with your home app."})
	}
	if b.Bridge && b.Devices.All == 0 {
		steps = append(steps, step{
			Text: "There are no devices yet. Connect an MQTT broker, put devices in from a program, or try it with simulated ones:",
			Code: "opcredsd run --mqtt-url mqtt://localhost\nopcredsd run --demo",
		})
	}
	if n := b.Devices.Unreachable; n > 0 {
		steps = append(steps, step{Text: count(n, "device is", "devices are") + " unreachable.", Link: "Show", Href: "/devices?state=unreachable"})
	}
	return steps
}

// fabricOf returns a fabric of a status, or nil.
func fabricOf(s *admin.Status, i matter.FabricIndex) *admin.FabricStatus {
	for n := range s.Fabrics {
		if s.Fabrics[n].Index == i {
			return &s.Fabrics[n]
		}
	}
	return nil
}

func (p *Page) fabrics(r *http.Request, f *frame) error {
	s, err := p.status(r.Context())
	f.Title, f.Tab, f.Live, f.Body = "Fabrics", "fabrics", "/live/fabrics", s
	return err
}

// removingBody is the confirmation before a fabric is removed.
type removingBody struct {
	Fabric *admin.FabricStatus
	Last   bool // no other fabric remains
}

func (p *Page) removingFabric(r *http.Request, f *frame) error {
	i, err := fabricIndex(r)
	if err != nil {
		return err
	}
	s, err := p.status(r.Context())
	if err != nil {
		return err
	}
	x := fabricOf(&s, i)
	if x == nil {
		return errGone
	}
	f.Title, f.Tab, f.Body = "Remove "+ecosystem(x.VendorID), "fabrics", removingBody{Fabric: x, Last: len(s.Fabrics) == 1}
	return nil
}
