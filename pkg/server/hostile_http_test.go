package server_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// A client opens many connections to the metrics server and sends nothing or half a
// request. The node keeps a limited number of them and answers others afterwards.
func TestMetricsConnections(t *testing.T) {
	srv, err := server.New(server.Options{
		StateDir: t.TempDir(), MetricsAddr: "127.0.0.1:0", Announcer: &billboard{},
		Conns: []transport.PacketConn{simnet.New(1, simnet.Conditions{}).Listen(deviceAddr)},
	})
	if err != nil {
		t.Fatal(err)
	}
	addr := srv.MetricsAddr()
	srv.Start()
	t.Cleanup(func() {
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	})
	before := descriptors(t)
	const n = 100
	var conns []net.Conn
	for i := range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost:") // intentionally incomplete
		}
	}
	time.Sleep(200 * time.Millisecond)
	// The test's own ends are file descriptors of this process as well.
	if held := descriptors(t) - before - n; held > server.MaxScrapers {
		t.Errorf("the node holds %d connections", held)
	}
	for _, c := range conns {
		c.Close()
	}
	client := http.Client{Timeout: time.Minute}
	rsp, err := client.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		t.Error(rsp.Status)
	}
}

// A client requests a backup and does not read it. The node continues and stops in
// order.
func TestBackupOfAStalledClient(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state", store.FileName)
	st, err := store.Open(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	devices := func(tx *store.Tx) error {
		for i := range 64 { // more than the socket buffers and the initial mapping hold
			if err := tx.PutDevice(fmt.Sprintf("api:%d", i), make([]byte, store.MaxDevice)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(st.Update(devices), st.Close()); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "admin.sock")
	srv, err := server.New(server.Options{
		StateDir: filepath.Dir(path), AdminSocket: socket, Announcer: &billboard{},
		Conns: []transport.PacketConn{simnet.New(1, simnet.Conditions{}).Listen(deviceAddr)},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /v1/store/backup HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil { // the answer has begun
		t.Fatal(err)
	}
	if err := srv.Operator().FactoryReset(t.Context()); err != nil {
		t.Error(err)
	}
	if err := srv.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
