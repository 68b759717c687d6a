package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// acting returns the context for a change by a request. It contains the browser's
// address for the log.
func acting(r *http.Request) context.Context {
	return admin.WithActor(r.Context(), "by", "web page", "peer", r.RemoteAddr)
}

// windows stores the codes of a window that was opened with new codes.
type windows struct {
	mu   sync.Mutex
	last admin.Window
}

func (s *windows) set(w admin.Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = w
}

func (s *windows) get() admin.Window {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// openWindow opens a commissioning window.
func (p *Page) openWindow(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	to = "/"
	minutes, err := strconv.Atoi(r.PostFormValue("minutes"))
	if err != nil || minutes < 0 || minutes > 60 {
		return to, "", errors.New("the time is not a number of minutes")
	}
	w, err := p.op.OpenWindow(acting(r), admin.WindowRequest{Seconds: minutes * 60, Enhanced: r.PostFormValue("enhanced") != ""})
	if err != nil {
		return to, "", err
	}
	p.windows.set(w)
	return to, "Open for pairing. Scan the code.", nil
}

func (p *Page) closeWindow(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	p.windows.set(admin.Window{})
	return "/", "Closed. Nobody can pair now.", p.op.CloseWindow(acting(r))
}

// devicePath is the address of a device's page.
func devicePath(id string) string { return "/devices/" + url.PathEscape(id) }

func (p *Page) renameDevice(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	id, name := r.PathValue("id"), strings.TrimSpace(r.PostFormValue("name"))
	err = p.op.RenameDevice(acting(r), admin.DeviceName{ID: id, Part: r.PostFormValue("part"), Name: name})
	if name == "" {
		return devicePath(id), "It has the name from its source again.", err
	}
	return devicePath(id), "Renamed. Controllers see the new name.", err
}

func (p *Page) hideDevice(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	id, hidden := r.PathValue("id"), r.PostFormValue("hidden") == "yes"
	err = p.op.HideDevice(acting(r), admin.DeviceHiding{ID: id, Hidden: hidden})
	if hidden {
		return devicePath(id), "Hidden. Controllers no longer see it.", err
	}
	return devicePath(id), "Shown to controllers again.", err
}

// identifySeconds is how long a device identifies itself.
const identifySeconds = 10

func (p *Page) identifyDevice(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	id := r.PathValue("id")
	err = p.op.IdentifyDevice(acting(r), admin.DeviceIdentification{ID: id, Seconds: identifySeconds})
	return devicePath(id), "Asked it to blink or beep for ten seconds. Not every device can.", err
}

func (p *Page) removeDevice(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	id := r.PathValue("id")
	if err := p.op.RemoveDevice(acting(r), admin.DeviceRemoval{ID: id}); err != nil {
		return devicePath(id), "", err
	}
	return "/devices", "Removed. It comes back if its source announces it again.", nil
}

// setDevice sets a value of a simulated device.
func (p *Page) setDevice(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	id, part, name := r.PathValue("id"), r.PostFormValue("part"), r.PostFormValue("property")
	to = devicePath(id)
	v, err := p.device(r.Context(), id)
	if err != nil {
		return to, "", err
	}
	if v.Source != demoSource {
		return to, "", errors.New("values can be set on simulated devices only")
	}
	prop := propertyOf(v, part, name)
	if prop == nil {
		return to, "", fmt.Errorf("the device has no value %q", name)
	}
	value, err := parseValue(prop, r.PostFormValue("value"))
	if err != nil {
		return to, "", err
	}
	return to, "Set.", p.op.SetDevice(acting(r), admin.DeviceValues{ID: id, Part: part, State: device.Values{name: value}})
}

// parseValue parses the value of a property from a form.
func parseValue(p *device.Property, text string) (v device.Value, err error) {
	text = strings.TrimSpace(text)
	switch p.Kind {
	case device.KindBool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return v, fmt.Errorf("%q is neither true nor false", text)
		}
		v = device.Bool(b)
	case device.KindNumber:
		f, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", "."), 64)
		if err != nil {
			return v, fmt.Errorf("%q is not a number", text)
		}
		v = device.Number(f)
	default:
		v = device.Text(text)
	}
	return v, p.Check(v)
}

// fabricIndex reads the index of a fabric from an address.
func fabricIndex(r *http.Request) (matter.FabricIndex, error) {
	n, err := strconv.ParseUint(r.PathValue("index"), 10, 8)
	if err != nil || !matter.FabricIndex(n).Valid() {
		return 0, errGone
	}
	return matter.FabricIndex(n), nil
}

func (p *Page) removeFabric(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	i, err := fabricIndex(r)
	if err != nil {
		return "/fabrics", "", errors.New("there is no such fabric")
	}
	s, err := p.op.Status(r.Context())
	if err != nil {
		return "/fabrics", "", err
	}
	f := fabricOf(&s, i)
	// The confirmation was for one fabric. Another fabric may have its index by
	// now.
	if f == nil || f.CompressedFabricID != r.PostFormValue("fabric") {
		return "/fabrics", "", errors.New("this fabric is no longer there")
	}
	return "/fabrics", ecosystem(f.VendorID) + " is removed.", p.op.RemoveFabric(acting(r), i)
}

func (p *Page) checkAgain(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	p.checks.start(p, 0)
	return "/health", "", nil
}

func (p *Page) setLogLevel(_ http.ResponseWriter, r *http.Request) (to, done string, err error) {
	level := r.PostFormValue("level")
	return "/log", "The daemon logs from level " + level + " on, until it is restarted.", p.op.SetLogLevel(acting(r), admin.LogLevel{Level: level})
}

// clockOf returns the time, or the zero time for nil.
func clockOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
