package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/web"
)

// webFlags are the flags of run for the page for browsers.
type webFlags struct {
	addr      string
	cert, key string
	names     []string
}

func (f *webFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&f.addr, "web-addr", "", "`address` of the page for browsers, such as :8380 (default: none)")
	fl.StringVar(&f.cert, "web-cert", "", "`file` with the page's certificate and its chain, for TLS, with --web-key")
	fl.StringVar(&f.key, "web-key", "", "`file` with the certificate's key")
	fl.StringArrayVar(&f.names, "web-name", nil, "`name` by which browsers ask for the page, besides this host's own; may be repeated")
}

// options returns what the flags ask for; nil for no page.
func (f *webFlags) options(c *common, run *runFlags) *server.Web {
	if f.addr == "" {
		return nil
	}
	w := &server.Web{
		Addr: f.addr, CertFile: f.cert, KeyFile: f.key, Names: f.names,
		Lines: c.sink.keep(c.stderr), Findings: c.findings(run.interfaces, &run.bridge.mqtt),
	}
	if broker := run.bridge.mqtt.link.URL; broker != "" {
		w.MQTT = func() (m web.MQTT) {
			m.Broker = withoutLogin(broker)
			if front := run.bridge.mqtt.running; front != nil {
				l, _ := front.Stats()
				m.Connected, m.Received, m.Sent = l.Connected, l.Received, l.Sent
			}
			return m
		}
	}
	return w
}

// checkFiles reports what is wrong with the certificate.
func (f *webFlags) checkFiles() error {
	if f.addr == "" || f.cert == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(f.cert, f.key); err != nil {
		return fmt.Errorf("web-cert: %w", err)
	}
	return nil
}

// withoutLogin returns an address without the name and password that it may have.
func withoutLogin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the broker"
	}
	u.User = nil
	return u.String()
}

func newWebURL(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "web-url",
		Short: "Print an address that lets one browser in",
		Long: `Print an address of the page for browsers, as a QR code too, that lets one browser
in, once, within ten minutes. The daemon must run with --web-addr.`,
		Example: `  opcredsd web-url
  xdg-open "$(opcredsd web-url -o json | jq -r .url)"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u, err := c.daemon().WebURL(cmd.Context())
			if err != nil {
				return err
			}
			return c.print(u, func(w io.Writer) error {
				if isTerminal(w) {
					if err := printQR(w, u.URL); err != nil {
						return err
					}
				}
				fmt.Fprintln(w, u.URL)
				for _, other := range u.Others {
					fmt.Fprintln(w, "or "+other)
				}
				_, err := fmt.Fprintf(w, "It lets one browser in, once, until %s.\n", clock(&u.Expires))
				return err
			})
		},
	}
}

// printWebURL prints an address of the page that lets one browser in.
func printWebURL(ctx context.Context, srv *server.Server, w io.Writer) error {
	o := srv.Operator()
	u, err := o.WebURL(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "Page:            %s\n                 (for one browser, once, until %s; after that, run \"opcredsd web-url\")\n", u.URL, clock(&u.Expires))
	return err
}
