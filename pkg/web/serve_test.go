package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
)

// The first address is one that a browser can open and a person can type.
func TestURLHosts(t *testing.T) {
	interfaces := []admin.Interface{
		{Name: "docker0", Reason: "container", Addresses: []string{"172.17.0.1"}},
		{Name: "eth0", Addresses: []string{"fe80::1", "fd00::1", "192.168.1.5"}},
		{Name: "wlan0", Addresses: []string{"fe80::2", "169.254.7.7", "192.168.1.6", "fd00::1"}},
	}
	for _, tc := range []struct {
		bound string
		names []string
		want  []string
	}{
		{"::", nil, []string{"192.168.1.5", "192.168.1.6", "fd00::1"}},
		{"0.0.0.0", nil, []string{"192.168.1.5", "192.168.1.6"}},
		{"127.0.0.1", nil, []string{"127.0.0.1"}},
		{"::", []string{"bridge.example"}, []string{"bridge.example", "192.168.1.5", "192.168.1.6", "fd00::1"}},
	} {
		if got := urlHosts(netip.MustParseAddr(tc.bound), interfaces, tc.names); !slices.Equal(got, tc.want) {
			t.Errorf("%s %v: %v, want %v", tc.bound, tc.names, got, tc.want)
		}
	}
	if got := urlHosts(netip.IPv6Unspecified(), nil, nil); !slices.Equal(got, []string{"localhost"}) {
		t.Errorf("without a network: %v", got)
	}
}

// A renewed certificate is used without a restart, a broken one is not.
func TestRenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	pair := &keyPair{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	if _, err := pair.get(nil); err == nil {
		t.Error("no error without files")
	}
	serial := func() int64 {
		t.Helper()
		c, err := pair.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	at := time.Now()
	touch := func() {
		t.Helper()
		at = at.Add(time.Minute)
		if err := os.Chtimes(pair.cert, at, at); err != nil {
			t.Fatal(err)
		}
	}
	writePair(t, pair, 1)
	if n := serial(); n != 1 {
		t.Errorf("certificate %d", n)
	}
	writePair(t, pair, 2)
	touch()
	if n := serial(); n != 2 {
		t.Errorf("certificate %d after it was renewed", n)
	}
	if err := os.WriteFile(pair.cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	touch()
	if n := serial(); n != 2 {
		t.Errorf("certificate %d after its file broke", n)
	}
}

func writePair(t *testing.T, k *keyPair, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{k.cert: {Type: "CERTIFICATE", Bytes: cert}, k.key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
