package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// webConfig writes a certificate for 127.0.0.1 and a web configuration with a user.
func webConfig(t *testing.T) (file string, roots *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(c)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	password, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "web.yaml")
	for name, text := range map[string][]byte{
		filepath.Join(dir, "crt"): pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		filepath.Join(dir, "key"): pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		file:                      fmt.Appendf(nil, "tls_server_config: {cert_file: crt, key_file: key}\nbasic_auth_users: {prometheus: %s}\n", password),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file, roots
}

func metricsServer(t *testing.T, webConfig string) (*server.Server, error) {
	return server.New(server.Options{
		StateDir: t.TempDir(), MetricsAddr: "127.0.0.1:0", WebConfigFile: webConfig, Announcer: &billboard{},
		Conns: []transport.PacketConn{simnet.New(1, simnet.Conditions{}).Listen(deviceAddr)},
	})
}

// With a web configuration the metrics are for those alone who have a password, over TLS.
func TestMetricsWithTLSAndUsers(t *testing.T) {
	file, roots := webConfig(t)
	srv, err := metricsServer(t, file)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	})
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	for _, tc := range []struct {
		name, scheme, user, password, path string
		want                               int
	}{
		{"the right password", "https", "prometheus", "secret", "/metrics", http.StatusOK},
		{"readiness too", "https", "prometheus", "secret", "/readyz", http.StatusOK},
		{"no password", "https", "", "", "/metrics", http.StatusUnauthorized},
		{"another password", "https", "prometheus", "Secret", "/metrics", http.StatusUnauthorized},
		{"another user", "https", "admin", "secret", "/metrics", http.StatusUnauthorized},
		{"no TLS", "http", "prometheus", "secret", "/metrics", http.StatusBadRequest},
	} {
		req, err := http.NewRequest("GET", tc.scheme+"://"+srv.MetricsAddr()+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tc.user != "" {
			req.SetBasicAuth(tc.user, tc.password)
		}
		rsp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		body, err := io.ReadAll(rsp.Body)
		rsp.Body.Close()
		if err != nil || rsp.StatusCode != tc.want || strings.Contains(string(body), "opcredsd_") != (tc.want == http.StatusOK && tc.path == "/metrics") {
			t.Errorf("%s: %s, %v, %d octets", tc.name, rsp.Status, err, len(body))
		}
	}
}

// A web configuration that does not serve is refused before anything is opened.
func TestWebConfigRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no such file":          "",
		"no YAML":               "tls_server_config: {",
		"an unknown member":     "users: {}",
		"a password in plain":   "basic_auth_users: {prometheus: secret}",
		"a missing certificate": "tls_server_config: {cert_file: no.crt, key_file: no.key}",
	} {
		file := filepath.Join(t.TempDir(), "web.yaml")
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := metricsServer(t, file)
		var usage *server.UsageError
		if !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), "web-config-file "+file+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the password is in the error: %v", name, err)
		}
	}
}
