//go:build interop && browser

package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// TestScreenshots takes the pictures of docs/web.md, into the directory SCREENSHOTS.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("SCREENSHOTS names no directory")
	}
	r := newRun(t)
	r.connectPage()
	r.device.args = append(r.device.args, "--demo")
	b := r.startBrowser()
	r.startAll()
	r.put("api:cellar", `{"name":"Cellar door","room":"Cellar","type":"contact_sensor","state":{"closed":true}}`)
	r.put("api:leak", `{"name":"Washing machine","room":"Cellar","reachable":false,"type":"water_leak_detector","state":{"detected":false}}`)
	r.openController("one", args{})
	b.enter()
	views := []struct {
		name          string
		width, height int64
	}{{"desk", 1100, 760}, {"phone", 390, 800}}
	quality := int64(80)
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
	take("remove", "/fabrics/1/remove")
	take("health", "/health")
	take("log", "/log?level=info")
	take("login", "/login")
}
