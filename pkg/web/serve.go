package web

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
)

// NewURL returns the address of a page that is served at bound, with a token for one
// browser. interfaces are those of the host, with their addresses.
func (p *Page) NewURL(bound netip.AddrPort, interfaces []admin.Interface) admin.WebURL {
	token, expires := p.gate.newToken(time.Now())
	scheme := "http://"
	if p.opt.TLS {
		scheme = "https://"
	}
	var all []string
	for _, host := range urlHosts(bound.Addr(), interfaces, p.opt.Names) {
		all = append(all, scheme+net.JoinHostPort(host, strconv.Itoa(int(bound.Port())))+"/login?token="+token)
	}
	return admin.WebURL{URL: all[0], Others: all[1:], Token: token, Expires: expires.Round(0).UTC()}
}

// urlHosts returns the hosts that a browser can ask, the one that most can first: the
// names from the operator, IPv4 addresses, as people can type them, and IPv6 addresses
// without a zone, which a URL cannot have.
func urlHosts(bound netip.Addr, interfaces []admin.Interface, names []string) (hosts []string) {
	bound = bound.Unmap()
	if !bound.IsUnspecified() {
		return append(slices.Clone(names), bound.String())
	}
	var found []netip.Addr
	for _, i := range interfaces {
		for _, text := range i.Addresses {
			a, err := netip.ParseAddr(text)
			if err == nil && i.Reason == "" && !a.IsLinkLocalUnicast() && (a.Is4() || !bound.Is4()) && !slices.Contains(found, a) {
				found = append(found, a)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	hosts = slices.Clone(names)
	for _, a := range found {
		hosts = append(hosts, a.String())
	}
	if len(hosts) == 0 {
		hosts = append(hosts, "localhost")
	}
	return hosts
}

// TLS returns the configuration of a page that is served with the certificate and the
// key in two PEM files. The certificate may be renewed while the page is served.
func TLS(certFile, keyFile string) (*tls.Config, error) {
	pair := &keyPair{cert: certFile, key: keyFile}
	if _, err := pair.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: pair.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, nil
}

// keyPair is a certificate with its key, which may be renewed while the node runs.
type keyPair struct {
	cert, key string
	mu        sync.Mutex
	read      *tls.Certificate
	at        time.Time // when the file that was read had been changed
}

// get returns the certificate, read again if its file has changed. One that cannot be read
// does not replace one that could.
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st, err := os.Stat(k.cert)
	if err == nil && k.read != nil && st.ModTime().Equal(k.at) {
		return k.read, nil
	}
	c, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		if k.read != nil {
			return k.read, nil
		}
		return nil, err
	}
	k.read = &c
	if st != nil {
		k.at = st.ModTime()
	}
	return k.read, nil
}
