package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// FuzzNames shows devices with names of strangers: they stay texts.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"Lamp", `"><script>alert(1)</script>`, "' onclick='x", "\x00", "{{.}}", "</li>", "&lt;b&gt;", "javascript:alert(1)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		v := &bridge.View{
			Device: device.Device{ID: "api:lamp", Name: name, Room: name, Vendor: name, Product: name, Serial: name},
			Parts:  []bridge.PartView{{Part: device.Part{ID: "main", Name: name, Type: "on_off_light", State: device.Values{"on": device.Bool(true)}}}},
			Source: "demo", Reason: name, Exposed: len(name)%2 == 0,
		}
		now := time.Now()
		frame := &frame{Page: "device", Now: now, CSRF: "x", Body: &deviceBody{View: v, Line: lineOf(v, "", now), Demo: true, Parts: []partBody{partOf(v, &v.Parts[0], true)}}}
		for name, data := range map[string]any{"body": frame, "row": lineOf(v, "", now)} {
			var b strings.Builder
			if err := templates().ExecuteTemplate(&b, name, data); err != nil {
				t.Fatal(err)
			}
			onlyOurs(t, b.String())
		}
	})
}

// ours are the elements that pages of devices have.
var ours = map[string]bool{
	"a": true, "b": true, "button": true, "code": true, "dd": true, "details": true, "div": true, "dl": true, "dt": true, "form": true, "h1": true, "h2": true,
	"input": true, "label": true, "li": true, "option": true, "p": true, "section": true, "select": true, "small": true, "span": true, "time": true,
}

func onlyOurs(t *testing.T, page string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			if !ours[tok.Data] {
				t.Fatalf("an element <%s> in %q", tok.Data, page)
			}
			for _, a := range tok.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") && (a.Key == "href" || a.Key == "action") {
					t.Fatalf("an attribute %s=%q in %q", a.Key, a.Val, page)
				}
			}
		}
	}
}

// FuzzForms sends forms as hostile browsers with a session could: each gets an answer, and
// the next page is one.
func FuzzForms(f *testing.F) {
	paths := []string{"/window/open", "/devices/demo:lamp/rename", "/devices/demo:lamp/set", "/devices/demo:lamp/hide", "/devices/" + "x" + "/identify", "/fabrics/1/remove", "/log/level"}
	f.Add(0, "minutes", "15", "enhanced", "yes")
	f.Add(1, "name", "Lamp", "part", "main")
	f.Add(2, "property", "brightness_percent", "value", "50")
	f.Add(2, "property", "on", "value", "NaN")
	f.Add(5, "fabric", "", "x", "\xff")
	f.Add(6, "level", "loud", "", "")
	r := newRig(f)
	r.put(lamp("demo:lamp", "Lamp"))
	b := r.inside()
	_, page := b.get("/")
	csrf := csrfField.FindStringSubmatch(page)[1]
	f.Fuzz(func(t *testing.T, path int, key1, value1, key2, value2 string) {
		r.t = t
		if path < 0 || path >= len(paths) || key1 == "csrf" || key2 == "csrf" {
			return
		}
		form := url.Values{key1: {value1}, key2: {value2}, "part": {"main"}, "csrf": {csrf}}
		if key1 == "part" || key2 == "part" {
			delete(form, "part")
		}
		if len(form.Encode()) > maxForm {
			return
		}
		status, body := b.post(paths[path], form)
		if status != http.StatusOK && status != http.StatusNotFound {
			t.Fatalf("%s %v: %d %s", paths[path], form, status, body)
		}
		if !utf8.ValidString(body) {
			t.Fatalf("%s %v: a page that is not UTF-8", paths[path], form)
		}
	})
}

// FuzzToken types tokens.
func FuzzToken(f *testing.F) {
	f.Add("tsez-b79x-jjzz-6zcc")
	f.Add("TSEZ B79X JJZZ 6ZCC")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		var g gate
		g.newToken(then)
		if _, err := g.enter(then, text); err == nil {
			t.Fatalf("%q was let in", text)
		}
	})
}
