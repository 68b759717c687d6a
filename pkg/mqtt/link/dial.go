package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"

	"github.com/opcredsd/opcredsd/pkg/stream"
)

// ports holds the supported schemes with their default ports.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443", "unix": ""}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the broker's address is no URL") // the parser's error would show a password
	}
	port, ok := ports[u.Scheme]
	switch {
	case !ok:
		return nil, fmt.Errorf("%q: a broker's address begins with mqtt://, mqtts://, ws://, wss:// or unix://", u.Redacted())
	case u.User != nil:
		return nil, errors.New("the broker's address has a user name in it: it belongs into the user name's option, a password into a file")
	case u.Scheme == "unix":
		if u.Host != "" || u.Path == "" {
			return nil, fmt.Errorf("%q: a Unix socket is written unix:///run/mosquitto.sock", s)
		}
		return u, nil
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host", s)
	case strings.HasPrefix(u.Scheme, "mqtt") && strings.Trim(u.Path, "/") != "":
		return nil, fmt.Errorf("%q: only ws:// and wss:// have a path", s)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	if strings.HasPrefix(u.Scheme, "ws") && u.Path == "" {
		u.Path = "/mqtt"
	}
	return u, nil
}

// dial opens a connection to the broker.
func (l *Link) dial(ctx context.Context, _ autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	config, err := l.tlsConfig()
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	switch u.Scheme {
	case "mqtt":
		conn, err = dialStream(ctx, "tcp", u.Host)
	case "unix":
		conn, err = dialStream(ctx, "unix", u.Path)
	case "mqtts":
		conn, err = dialTLS(ctx, config, u.Host)
	default:
		conn, err = dialWebSocket(ctx, config, u)
	}
	if err != nil {
		return nil, err
	}
	f := newFramed(conn, MaxPacket, &l.counters.skipped)
	f.r.Reset(heard{conn, l.pinger.PacketReceived})
	l.framed.Store(f)
	return f, nil
}

// dialStream connects to a TCP or Unix socket.
func dialStream(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return stream.Conn(c), nil
}

func dialTLS(ctx context.Context, config *tls.Config, address string) (net.Conn, error) {
	c, err := dialStream(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(c, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return secured, nil
}

// connectPacket completes a CONNECT.
func (l *Link) connectPacket(p *paho.Connect, _ *url.URL) (*paho.Connect, error) {
	password, err := l.password()
	if err != nil {
		return nil, err
	}
	p.CleanStart = true
	p.Username, p.UsernameFlag = l.o.Username, l.o.Username != ""
	p.Password, p.PasswordFlag = password, len(password) > 0
	receive, size := uint16(receiveMaximum), uint32(MaxPacket)
	p.Properties = &paho.ConnectProperties{ReceiveMaximum: &receive, MaximumPacketSize: &size}
	return p, nil
}

func (l *Link) password() ([]byte, error) {
	if l.o.PasswordFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(l.o.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("the MQTT password: %w", err)
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}

// tlsConfig reads the certificates at each connect, since they may be renewed while
// the program runs.
func (l *Link) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: l.url.Hostname()}
	if l.o.CAFile != "" {
		b, err := os.ReadFile(l.o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the MQTT broker's CA: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("the MQTT broker's CA: no certificate in %s", l.o.CAFile)
		}
	}
	if l.o.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(l.o.CertFile, l.o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("the MQTT client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

func dialWebSocket(ctx context.Context, config *tls.Config, u *url.URL) (net.Conn, error) {
	d := websocket.Dialer{NetDialContext: dialStream, TLSClientConfig: config, Subprotocols: []string{"mqtt"}, HandshakeTimeout: connectTimeout}
	ws, response, err := d.DialContext(ctx, u.String(), nil)
	if err != nil {
		if response != nil {
			return nil, fmt.Errorf("the server answers %s, and no WebSocket", response.Status)
		}
		return nil, err
	}
	ws.SetReadLimit(MaxPacket)
	return &webSocket{Conn: ws}, nil
}
