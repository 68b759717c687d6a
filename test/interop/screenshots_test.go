//go:build interop && browser

package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// TestScreenshots takes the screenshots for docs/web.md, in the directory
// SCREENSHOTS.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("SCREENSHOTS names no directory")
	}
	r := newRun(t)
	r.connectPage()
	r.device.args = append(r.device.args, "--demo")
	r.must(r.device.ownRoot(t.TempDir()))
	b := r.startBrowser()
	r.startAll()
	for id, d := range map[string]string{
		"door":    `"name":"Front door","room":"Hall","type":"door_lock","state":{"lock":"locked","door":"closed"}`,
		"window":  `"name":"Bathroom window","room":"Bathroom","type":"contact_sensor","battery":{"percent":9,"low":true},"state":{"closed":false}`,
		"leak":    `"name":"Washing machine","room":"Cellar","reachable":false,"type":"water_leak_detector","state":{"detected":false}`,
		"climate": `"name":"Bathroom","room":"Bathroom","parts":[{"id":"t","type":"temperature_sensor","state":{"temperature_celsius":22.4}},{"id":"h","type":"humidity_sensor","state":{"humidity_percent":61}}]`,
		"spare":   `"name":"Spare lamp","room":"Cellar","type":"dimmable_light","state":{"on":false,"brightness_percent":40}`,
	} {
		r.put("api:"+id, "{"+d+"}")
	}
	r.openController("one", args{})
	b.enter()
	views := []struct {
		name          string
		width, height int64
	}{{"desk", 1100, 760}, {"phone", 390, 800}}
	b.open("/devices/api:spare")
	b.click(`form[action$="/hide"] button`)
	quality := int64(70)
	take := func(name, path string) {
		b.open(path)
		for _, v := range views {
			for _, s := range []string{"light", "dark"} {
				file := filepath.Join(dir, fmt.Sprintf("%s-%s-%s.webp", name, v.name, s))
				b.do(file, scheme(s), chromedp.EmulateViewport(v.width, v.height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
					picture, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: &quality})
					if err != nil {
						return err
					}
					return os.WriteFile(file, picture.Data, 0o644)
				}))
			}
		}
	}
	take("pairing", "/")
	r.join("one")
	r.step("subscription", func() error {
		_, err := r.ctl.call(r.ctx, "subscribe", args{"controller": "one", "min": 0, "max": 60, "everything": true}, nil)
		return err
	})
	take("home", "/")
	take("devices", "/devices")
	take("device", "/devices/demo:lamp")
	take("ignored", "/ignored")
	take("fabrics", "/fabrics")
	b.open("/health")
	b.sees("#main", "Checked")
	take("health", "/health")
	take("log", "/log?level=info")
}

// ownRoot makes the daemon run in its own root directory, so that the doctor does
// not find the container in which the test may run.
func (d *device) ownRoot(dir string) error {
	root := filepath.Join(dir, "root")
	d.state = filepath.Join(root, "var/lib/opcredsd")
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "proc"), 0o755), os.MkdirAll(d.state, 0o700)); err != nil {
		return err
	}
	binary, err := os.ReadFile(d.binary)
	if err != nil {
		return err
	}
	script := fmt.Sprintf(`#!/bin/sh
[ "$1" = run ] || exec %[1]s "$@"
shift 3 # run --state-dir DIR
exec unshare --mount sh -c 'mount --bind %[2]s %[2]s && mount -t proc proc %[2]s/proc && exec chroot %[2]s /opcredsd run --state-dir /var/lib/opcredsd "$@"' sh "$@"
`, d.binary, root)
	d.binary = filepath.Join(dir, "opcredsd")
	return errors.Join(os.WriteFile(filepath.Join(root, "opcredsd"), binary, 0o755), os.WriteFile(d.binary, []byte(script), 0o755))
}
