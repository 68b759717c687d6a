package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const udpTable = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  338: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000   105        0 4242 2 0000000000000000 0
  bad line
  500: 00000000:15A4 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 777 2 0000000000000000 0
  338: 0100007F:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 777 2 0000000000000000 0
  338: 0200007F:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000   105        0 4243 2 0000000000000000 0
`

const udp6Table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1: 000002FF0000000000000000FB000000:14EA 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   105        0 5001 2 0000000000000000 0
 2: 000080FE00000000FF9451120FFA0DE3:14EB 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   105        0 5002 2 0000000000000000 0
`

func TestHolder(t *testing.T) {
	proc := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("self/net/udp", udpTable)
	write("self/net/udp6", udp6Table)
	write("412/comm", "matterbridge\n")
	write("412/fd/README", "")
	for fd, target := range map[string]string{"3": "/dev/null", "7": "socket:[777]"} {
		if err := os.Symlink(target, filepath.Join(proc, "412/fd", fd)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		port uint16
		who  []string
	}{
		{5540, []string{`"matterbridge" (pid 412)`}},
		// The process of the first socket cannot be read.
		{5353, []string{"a process of user id 105", `"matterbridge" (pid 412)`}},
		{1, nil},
	} {
		if who := holders(proc, tc.port); !slices.Equal(who, tc.who) {
			t.Errorf("port %d: %q, want %q", tc.port, who, tc.who)
		}
	}
	for port, want := range map[uint16]bool{5353: true, 5354: false, 5355: true, 5540: true, 1: false} {
		if got := takesUnicast(proc, port, nil); got != want {
			t.Errorf("port %d: unicast is taken: %v", port, got)
		}
	}
	if takesUnicast(proc, 5540, []uint64{777}) {
		t.Error("a socket that is left out counts")
	}
	if who := holders(t.TempDir(), 5540); who != nil {
		t.Errorf("without /proc: %q", who)
	}
}
