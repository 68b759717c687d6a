//go:build interop && browser

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/vishvananda/netlink"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// The network of the page: between the device and the browser, which runs in the
// test's namespace.
const (
	pageLink = "web0"
	pageHost = "10.83.8.1"
	pageAddr = pageHost + ":8380"
	pageURL  = "http://" + pageAddr
)

// pageWait is how long a page may take to show something.
const pageWait = 15 * time.Second

// tab is one tab of the browser.
type tab struct {
	r   *run
	ctx context.Context
}

// connectPage joins the device with the browser, and makes the daemon serve its
// page there.
func (r *run) connectPage() {
	r.t.Helper()
	r.must(netns.Connect(pageLink, netns.End{Prefixes: []string{"10.83.8.2/24"}},
		netns.End{Namespace: r.device.ns.Namespace, Prefixes: []string{pageHost + "/24"}}))
	r.t.Cleanup(func() {
		if l, err := netlink.LinkByName(pageLink); err == nil {
			_ = netlink.LinkDel(l) // otherwise it is removed with the device's namespace
		}
	})
	r.device.args = append(r.device.args, "--web-addr", pageAddr, "--interface", link)
}

// startBrowser starts Chromium, which ends with the test.
func (r *run) startBrowser() *tab {
	r.t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		r.t.Fatal("no chromium in PATH: install Debian's package chromium (make setup does)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en"), chromedp.WindowSize(1280, 900))
	allocator, cancel := chromedp.NewExecAllocator(r.ctx, options...)
	r.t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {})) // events newer than the library
	r.t.Cleanup(cancel)
	// The browser lives as long as the context of the first call.
	r.step("browser started", func() error { return chromedp.Do(ctx, chromedp.Navigate("about:blank")) })
	return &tab{r, ctx}
}

// stranger opens a tab without the cookies of the other tabs.
func (t *tab) stranger() *tab {
	t.r.t.Helper()
	ctx, cancel := chromedp.NewContext(t.ctx, chromedp.WithNewBrowserContext())
	t.r.t.Cleanup(cancel)
	t.r.step("another browser", func() error { return chromedp.Do(ctx, chromedp.Navigate("about:blank")) })
	return &tab{t.r, ctx}
}

// do runs actions in the browser.
func (t *tab) do(text string, actions ...chromedp.Action[chromedp.Void]) {
	t.r.t.Helper()
	t.r.step(text, func() error {
		ctx, cancel := context.WithTimeout(t.ctx, pageWait)
		defer cancel()
		return chromedp.Do(ctx, actions...)
	})
}

// open opens a page by its path.
func (t *tab) open(path string) {
	t.r.t.Helper()
	t.do("open "+strings.SplitN(path, "?token", 2)[0], chromedp.Navigate(pageURL+path), chromedp.WaitReady("#main"))
}

// until waits until a JavaScript expression is true in the page.
func (t *tab) until(text, expression string) {
	t.r.t.Helper()
	t.r.step(text, func() error {
		// A poll ends with its page, which may be loading the next one.
		var err error
		for end := time.Now().Add(pageWait); time.Now().Before(end); {
			_, err = chromedp.Run(t.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(time.Until(end))))
			if err == nil {
				return nil
			}
		}
		seen, _ := chromedp.Run(t.ctx, chromedp.Evaluate[string]("location.pathname + ': ' + document.body.innerText"))
		return fmt.Errorf("%w; the page is %q", err, seen)
	})
}

// sees waits until the element of a selector contains a text.
func (t *tab) sees(selector, text string) {
	t.r.t.Helper()
	t.until(fmt.Sprintf("%s shows %q", selector, text), fmt.Sprintf("(document.querySelector(%s)?.innerText ?? '').includes(%s)", quote(selector), quote(text)))
}

// evaluate returns the value of a JavaScript expression in a page. It waits for
// promises.
func evaluate[T any](t *tab, text, expression string) (result T) {
	t.r.t.Helper()
	t.r.step(text, func() (err error) {
		ctx, cancel := context.WithTimeout(t.ctx, pageWait)
		defer cancel()
		result, err = chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
		return err
	})
	return result
}

// click clicks the first element of a selector, and waits for the next page.
func (t *tab) click(selector string) {
	t.r.t.Helper()
	t.r.step("click "+selector, func() error {
		ctx, cancel := context.WithTimeout(t.ctx, pageWait)
		defer cancel()
		_, err := chromedp.RunResponse(ctx, chromedp.Click(selector))
		return err
	})
}

// enter signs in with the link of "opcredsd web-url".
func (t *tab) enter() {
	t.r.t.Helper()
	var u struct{ URL string }
	t.r.step("opcredsd web-url", func() error {
		out, err := t.r.device.ns.output(t.r.ctx, t.r.device.binary, "web-url", "-o", "json", "--state-dir", t.r.device.state)
		if err != nil {
			return err
		}
		return json.Unmarshal(out, &u)
	})
	t.open(strings.TrimPrefix(u.URL, pageURL))
	t.until("signed in", "location.pathname === '/' && document.body.dataset.page === 'home'")
}

// scheme makes the browser prefer light or dark pages.
func scheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

// npmScript returns a program of an npm package, for use in a page.
func (r *run) npmScript(path string) string {
	r.t.Helper()
	b, err := os.ReadFile("node_modules/" + path)
	r.must(err)
	return string(b)
}

func quote(s string) string {
	b, _ := json.Marshal(s) // marshalling a string does not fail
	return string(b)
}

// bypassPolicy allows the test to add its own pictures to the next pages.
func bypassPolicy(on bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: on})
		return err
	})
}

// runScripts lets pages run scripts, or not.
func runScripts(on bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	})
}
