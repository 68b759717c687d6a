//go:build interop && browser

package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestPage uses the page as people do, together with a controller: matter.js.
func TestPage(t *testing.T) {
	r := newRun(t)
	r.connectPage()
	r.device.args = append(r.device.args, "--demo")
	b := r.startBrowser()
	r.begin("start")
	r.step("daemon ready", func() error { return r.device.start(r.ctx, testProduct) })

	r.begin("page, sign in")
	b.wrongToken()
	b.accessible("/login", "/login?token=x")
	b.enter()
	b.sees("#main", "Not paired yet")

	r.begin("page, accessible") // while node loads matter.js
	r.put("api:door", `{"name":"Door","room":"Hall","reachable":false,"type":"contact_sensor","state":{"closed":true}}`)
	r.put("api:button", `{"name":"Button","type":"generic_switch"}`)
	b.accessible("/", "/devices", "/devices?q=nothing", "/devices/demo:lamp", "/devices/api:button", "/devices/demo:lamp/remove",
		"/ignored", "/fabrics", "/health", "/log", "/nonsense")
	b.fitsPhone("/", "/devices", "/devices/demo:lamp", "/health", "/log")
	b.byKeyboard()
	b.withoutScript()

	r.begin("page, pairing")
	r.step("matter.js loaded", func() error {
		_, err := r.ctl.ready(r.ctx)
		return err
	})
	r.openController("one", args{})
	r.step("pairing codes", func() (err error) {
		r.pairing, err = r.device.pairing(r.ctx)
		return err
	})
	r.pairing = b.readCode()
	r.join("one")
	b.sees("#main", "Paired with Test controller")
	b.accessible("/fabrics", "/fabrics/1/remove")
	b.open("/")
	b.until("the code is gone", "document.querySelector('.qr') === null")

	r.begin("page, devices")
	b.lampFollowsController()
	b.renameReachesController()
	b.hostileName()
	b.setDemoValue()

	r.begin("page, nobody is misled")
	b.forgedForms()
	b.lostConnection()

	r.begin("page, fabrics")
	b.removeFabric()
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

// wrongToken opens a link with an invalid token.
func (t *tab) wrongToken() {
	t.r.t.Helper()
	t.open("/login?token=0000-0000-0000-0000")
	t.sees("[role=alert]", "not valid")
	t.open("/devices")
	t.sees("#main", "opcredsd web-url")
}

// readCode reads the codes from the page: the QR code from a picture, and the
// digits beside it.
func (t *tab) readCode() (codes pairingCodes) {
	t.r.t.Helper()
	t.do("the test may draw", bypassPolicy(true))
	t.open("/")
	t.until("a picture is shown", "document.querySelector('.qr') !== null")
	t.do("a reader of QR codes", chromedp.Evaluate[chromedp.Void](t.r.npmScript("jsqr/dist/jsQR.js")))
	codes.QR = evaluate[string](t, "the picture is read", `(async () => {
		const svg = document.querySelector(".qr").cloneNode(true);
		svg.setAttribute("width", 400); svg.setAttribute("height", 400);
		svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
		const image = new Image();
		image.src = "data:image/svg+xml," + encodeURIComponent(svg.outerHTML);
		await image.decode();
		const c = document.createElement("canvas").getContext("2d");
		c.canvas.width = c.canvas.height = 400;
		c.drawImage(image, 0, 0);
		return jsQR(c.getImageData(0, 0, 400, 400).data, 400, 400)?.data ?? "";
	})()`)
	codes.Manual = evaluate[string](t, "the digits are read", `document.getElementById("manual").innerText.replaceAll("-", "")`)
	t.do("the page's policy counts again", bypassPolicy(false))
	t.open("/")
	t.r.step("picture and digits say the same", func() (err error) {
		if codes.Discriminator, codes.Passcode, err = decodeQR(codes.QR); err != nil {
			return err
		}
		want := t.r.pairing
		if codes != want {
			return fmt.Errorf("the page has %+v, \"opcredsd pairing\" %+v", codes, want)
		}
		return nil
	})
	return codes
}

// decodeQR returns what a controller takes from the text of a QR code (section 5.1.3).
func decodeQR(text string) (discriminator uint16, passcode uint32, err error) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-."
	packed, ok := strings.CutPrefix(text, "MT:")
	if !ok || len(packed) != 19 {
		return 0, 0, fmt.Errorf("%q is no text of a QR code", text)
	}
	all := new(big.Int)
	for shift := 0; len(packed) > 0; shift += 24 {
		n := min(5, len(packed))
		v := int64(0)
		for _, c := range slices.Backward([]byte(packed[:n])) {
			v = v*38 + int64(strings.IndexByte(alphabet, c))
		}
		all.Or(all, new(big.Int).Lsh(big.NewInt(v), uint(shift)))
		packed = packed[n:]
	}
	field := func(at, bits uint) uint64 {
		v := new(big.Int).Rsh(all, at)
		return v.And(v, big.NewInt(1<<bits-1)).Uint64()
	}
	return uint16(field(45, 12)), uint32(field(57, 27)), nil
}

// demoEndpoint returns the endpoint of a simulated device.
func (r *run) demoEndpoint(id string) uint16 {
	r.t.Helper()
	var d bridged
	r.step("endpoint of "+id, func() error {
		if err := r.device.api().do("GET", "/v1/devices/"+id, "", &d); err != nil {
			return err
		}
		if d.Endpoint == 0 {
			return errors.New("none")
		}
		return nil
	})
	return d.Endpoint
}

// lampFollowsController makes the controller switch a lamp, and checks the list.
func (t *tab) lampFollowsController() {
	t.r.t.Helper()
	lamp := t.r.demoEndpoint("demo:lamp")
	t.open("/devices")
	const state = `[id="d-demo:lamp"] .state`
	t.sees(state, "On, 60 %")
	t.do("the row is marked", chromedp.Evaluate[chromedp.Void](`document.querySelector('[id="d-demo:lamp"]').marked = true`))
	t.r.status("Off", "one", command{endpoint: lamp, cluster: "OnOff", name: "off"}, 0)
	t.sees(state, "Off")
	t.r.status("On", "one", command{endpoint: lamp, cluster: "OnOff", name: "on"}, 0)
	t.sees(state, "On")
	t.until("the row is the same element: nothing flickers", `document.querySelector('[id="d-demo:lamp"]').marked === true`)
}

// renameReachesController renames a device, and checks that the controller reads
// the name.
func (t *tab) renameReachesController() {
	t.r.t.Helper()
	const nodeLabel = 5
	plug := t.r.demoEndpoint("demo:plug")
	t.open("/devices/demo:plug")
	t.do("type a name", chromedp.Clear("#name"), chromedp.SendKeys("#name", "Coffee machine"))
	t.click(`form[action$="/rename"] button`)
	t.sees("h1", "Coffee machine")
	t.sees("[role=status].flash", "Renamed")
	var reports []report
	path := args{"endpoint": plug, "cluster": bridgedInformation, "attribute": nodeLabel}
	t.r.call("the controller reads the name", "read", args{"controller": "one", "paths": []args{path}}, &reports, func() error {
		if len(reports) != 1 || string(reports[0].Value) != `"Coffee machine"` {
			return fmt.Errorf("it reads %+v", reports)
		}
		return nil
	})
}

// hostileName shows a device whose name is a script.
func (t *tab) hostileName() {
	t.r.t.Helper()
	const name = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	description, err := json.Marshal(map[string]any{"name": name, "type": "contact_sensor", "state": map[string]any{"closed": true}})
	t.r.must(err)
	t.open("/devices")
	t.r.put("api:evil", string(description))
	t.sees(`[id="d-api:evil"] a`, name)
	t.open("/devices/api:evil")
	t.sees("h1", name)
	t.until("it is a text", "document.title !== 'owned' && document.querySelector('#main img, #main script') === null")
}

// setDemoValue sets a value of a simulated device.
func (t *tab) setDemoValue() {
	t.r.t.Helper()
	t.open("/devices/demo:lamp")
	t.do("type a brightness", chromedp.SendKeys("#v-0-1", "25"))
	t.click(`form:has(#v-0-1) button`)
	t.sees(".values", "25 %")
}

// forgedForms sends forms as other sites would.
func (t *tab) forgedForms() {
	t.r.t.Helper()
	t.open("/")
	for _, token := range []string{"", "00000000000000000000000000000000"} {
		got := evaluate[int](t, "a form with the token "+quote(token), `fetch("/window/open", {method: "POST", body: new URLSearchParams({minutes: "15", csrf: `+quote(token)+`})}).then(r => r.status)`)
		if got != 403 {
			t.r.t.Errorf("a forged form: %d", got)
		}
	}
	t.sees("#main", "Nobody new can pair")
	strange := t.stranger()
	strange.open("/")
	strange.sees("#main", "opcredsd web-url")
}

// lostConnection stops the daemon while a page is open, and starts it again.
func (t *tab) lostConnection() {
	t.r.t.Helper()
	t.open("/devices")
	t.until("the page follows", "document.getElementById('offline').hidden")
	t.r.step("daemon stopped", t.r.device.stop)
	t.sees("#offline", "No connection to the bridge")
	t.r.step("daemon ready again", func() error { return t.r.device.start(t.r.ctx, testProduct) })
	// Sessions end with the daemon, so the page asks to sign in again.
	t.sees("#main", "opcredsd web-url")
	t.enter()
	t.r.call("new session", "reconnect", args{"controller": "one"}, nil, nil)
}

// removeFabric removes the controller's fabric after a confirmation.
func (t *tab) removeFabric() {
	t.r.t.Helper()
	t.open("/fabrics")
	t.sees("#f-1", "Connected")
	t.click(`#f-1 .danger`)
	t.sees("h1", "Remove Test controller?")
	t.click("#main .danger")
	t.sees("#main", "Test controller is removed")
	t.sees("#main", "No home has this bridge yet")
	t.r.step("no fabric is left", func() error {
		out, err := t.r.device.ns.output(t.r.ctx, t.r.device.binary, "fabrics", "list", "-o", "json", "--state-dir", t.r.device.state)
		if err == nil && strings.TrimSpace(string(out)) != "[]" {
			err = fmt.Errorf("there is %s", out)
		}
		return err
	})
	t.r.step("it is in the log as the operator's", func() error {
		b, err := os.ReadFile(t.r.device.logFile())
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, "operator's request done") && strings.Contains(line, `what="remove fabric"`) && strings.Contains(line, `by="web page"`) {
				return nil
			}
		}
		return errors.New("no such line")
	})
}

// accessible runs axe on pages, in light and dark mode.
func (t *tab) accessible(paths ...string) {
	t.r.t.Helper()
	axe := t.r.npmScript("axe-core/axe.min.js")
	for _, path := range paths {
		t.open(path)
		t.do("axe loaded", chromedp.Evaluate[chromedp.Void](axe))
		for _, s := range []string{"light", "dark"} {
			t.do(s, scheme(s))
			found := evaluate[[]string](t, "axe on "+path, `axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
				.then(r => r.violations.map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.html + " " + n.failureSummary).join("; ")))`)
			for _, v := range found {
				t.r.t.Errorf("%s, %s: %s", path, s, v)
			}
		}
	}
}

// fitsPhone looks for content that is wider than a small phone.
func (t *tab) fitsPhone(paths ...string) {
	t.r.t.Helper()
	t.do("a phone", chromedp.EmulateViewport(360, 740))
	for _, path := range paths {
		t.open(path)
		wide := evaluate[[]string](t, path+" is as wide as the phone", `[...document.querySelectorAll("body *")]
			.filter(e => e.getBoundingClientRect().right > 360.5).map(e => e.outerHTML.slice(0, 100))`)
		if len(wide) > 0 {
			t.r.t.Errorf("%s: wider than a phone: %q", path, wide)
		}
	}
	t.do("a desk", chromedp.EmulateViewport(1280, 900))
}

// byKeyboard opens a device without a mouse while its state changes. The focus must
// stay.
func (t *tab) byKeyboard() {
	t.r.t.Helper()
	t.open("/devices")
	t.do("Tab", chromedp.KeyEvent(kb.Tab))
	t.until("first comes the way past the navigation", "document.activeElement.className === 'skip'")
	t.do("Enter, and Tab to the list", chromedp.KeyEvent(kb.Enter))
	for range 8 { // the two lists, four fields, the first device
		t.do("Tab", chromedp.KeyEvent(kb.Tab))
		if evaluate[bool](t, "where the focus is", "document.activeElement.matches('#devices a')") {
			break
		}
	}
	const focused = `document.activeElement.matches('[id="d-api:button"] a')`
	t.until("the first device has the focus", focused)
	t.r.step("the device gets a room", func() error {
		return t.r.device.api().do("PUT", "/v1/devices/api:button", `{"name":"Button","room":"Hall","type":"generic_switch"}`, nil)
	})
	t.sees(`[id="d-api:button"]`, "Hall")
	t.until("it still has the focus", focused)
	t.do("Enter", chromedp.KeyEvent(kb.Enter))
	t.until("its page", "location.pathname === '/devices/api:button' && document.body.dataset.page === 'device'")
}

// withoutScript closes and opens the window in a browser that runs no scripts.
func (t *tab) withoutScript() {
	t.r.t.Helper()
	t.do("no scripts", runScripts(false))
	t.open("/")
	t.click(`form[action="/window/close"] button`)
	t.sees("#main", "Nobody can pair now")
	t.click(`form[action="/window/open"] button`)
	t.sees("#main", "Scan the picture")
	t.do("scripts", runScripts(true))
	t.open("/")
}
