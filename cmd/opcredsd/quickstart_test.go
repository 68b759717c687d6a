package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/netlab"
	"github.com/opcredsd/opcredsd/pkg/doctor"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

const quickstart = "../../docs/quickstart.md"

// updateDocument is an environment variable that makes the test write the program's
// output into the document.
const updateDocument = "OPCREDSD_UPDATE_DOCUMENT"

// machine is a machine with the package installed. The directories of the package
// are below root, which is removed from the output.
type machine struct {
	t    *testing.T
	lab  *netlab.Lab
	root string
	env  []string
	last string // output of the last command
}

// TestQuickstart runs every command of docs/quickstart.md with the daemon started
// as the unit does, and compares the output. Where an app pairs the node in the
// document, a controller on the other side of the link does.
func TestQuickstart(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	text, err := os.ReadFile(quickstart)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	list := steps(lines)
	if len(list) < 15 {
		t.Fatalf("only %d steps in the document", len(list))
	}
	checkHostLines(t, list)
	h := newMachine(t)
	h.start()
	document, program := names{}, names{}
	update, wait := os.Getenv(updateDocument) != "", patience
	if update {
		wait = time.Second // for output that never matches
	}
	for i, s := range list {
		if s.event != "" {
			h.happen(s.event)
			continue
		}
		diff := ""
		for end := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
			h.command(s)
			d, p := document.clone(), program.clone()
			diff = differences(d.plain(s.want), p.plain(outputLines(h.last)))
			if diff == "" || !observes.MatchString(s.command) || time.Now().After(end) {
				document, program = d, p
				break
			}
		}
		if diff != "" && !update {
			t.Fatalf("docs/quickstart.md:%d: $ %s\n%s", s.line, s.command, diff)
		}
		list[i].want = outputLines(h.last)
	}
	if update {
		if err := os.WriteFile(quickstart, []byte(strings.Join(rewritten(lines, list), "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkHostLines compares what the document shows about the machine with doctor's
// output for a machine without problems.
func checkHostLines(t *testing.T, list []step) {
	t.Helper()
	var out strings.Builder
	good := &doctor.Facts{Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), StateDir: doctor.StateDir{
		Path: systemStateDir, Exists: true, Mode: os.ModeDir | 0o700, Writable: true, Free: 1 << 30,
	}}
	if err := printFindings(&out, doctor.Examine(good)); err != nil {
		t.Fatal(err)
	}
	date := regexp.MustCompile(`20\d\d-\d\d-\d\d \d\d:\d\d`)
	var said []string
	for _, l := range outputLines(out.String()) {
		said = append(said, date.ReplaceAllString(l, ""))
	}
	n := 0
	for _, s := range list {
		for _, l := range s.want {
			if !ofHost.MatchString(l) {
				continue
			}
			if n++; !slices.Contains(said, date.ReplaceAllString(l, "")) {
				t.Errorf("the document says %q; doctor of such a host:\n%s", l, out.String())
			}
		}
	}
	if n < 4 {
		t.Errorf("only %d checks of the host in the document", n)
	}
}

// observes matches commands that change nothing. They are repeated until their
// output matches.
var observes = regexp.MustCompile(`^(sudo )?(opcredsd (status|fabrics list|doctor|pairing)|journalctl|curl) ?`)

func outputLines(out string) []string {
	if out == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// rewritten returns the document with the outputs of list, except those that depend
// on the machine.
func rewritten(lines []string, list []step) (out []string) {
	next := 0
	for _, s := range list {
		if s.event != "" {
			continue
		}
		out = append(out, lines[next:s.line]...)
		next = s.line
		old := map[string]string{}
		for ; !strings.HasPrefix(lines[next], "$ ") && !strings.HasPrefix(lines[next], "```"); next++ {
			if m := ofHost.FindStringSubmatch(lines[next]); m != nil {
				old[m[1]] = lines[next]
			}
		}
		for _, l := range s.want {
			if m := ofHost.FindStringSubmatch(l); m != nil && old[m[1]] != "" {
				l = old[m[1]]
			}
			out = append(out, l)
		}
	}
	return append(out, lines[next:]...)
}

// newHost makes what the package brings, and a link to a peer.
func newMachine(t *testing.T) *machine {
	h := &machine{t: t, root: t.TempDir(), lab: netlab.New(t)}
	h.lab.Join("eth0")
	for dir, mode := range map[string]os.FileMode{"bin": 0o755, "etc/opcredsd": 0o755, "var/lib/opcredsd": 0o700, "run/opcredsd": 0o700, "root": 0o700} {
		h.check(os.MkdirAll(filepath.Join(h.root, dir), mode))
	}
	config, err := os.ReadFile("../../packaging/config.yaml")
	h.check(err)
	h.write("etc/opcredsd/config.yaml", h.place(string(config)), 0o644)
	h.write("bin/sudo", "#!/bin/sh\nexec \"$@\"\n", 0o755)
	// The journal keeps the priority that a line begins with.
	h.write("bin/journalctl", "#!/bin/sh\nexec sed 's/^<[0-7]>//' "+h.root+"/log\n", 0o755)
	h.env = []string{
		"PATH=" + h.root + "/bin:" + os.Getenv("PATH"), "HOME=" + h.root, "LC_ALL=C.UTF-8", "TZ=UTC",
		"OPCREDSD_CONFIG=" + h.root + defaultConfig, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR"),
	}
	return h
}

func (h *machine) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *machine) write(name, text string, mode os.FileMode) {
	h.t.Helper()
	h.check(os.WriteFile(filepath.Join(h.root, name), []byte(text), mode))
}

// place replaces the package's folders in a text with folders below the root.
func (h *machine) place(text string) string {
	for _, dir := range []string{"/etc/opcredsd", "/var/lib/opcredsd", "/run/opcredsd", "/root/"} {
		text = strings.ReplaceAll(text, dir, h.root+dir)
	}
	return text
}

// start starts the daemon as the unit does, with a file for the journal, and
// waits for what systemd waits for.
func (h *machine) start() {
	unit, err := os.ReadFile("../../systemd/opcredsd.service")
	h.check(err)
	m := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/(opcredsd .*)$`).FindSubmatch(unit)
	if m == nil {
		h.t.Fatal("the unit starts nothing")
	}
	log, err := os.Create(filepath.Join(h.root, "log"))
	h.check(err)
	defer log.Close()
	info, err := log.Stat()
	h.check(err)
	st := info.Sys().(*syscall.Stat_t)
	args := strings.Fields(h.place(string(m[1])))
	path, err := exec.LookPath(args[0])
	h.check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(h.env, "STATE_DIRECTORY="+h.root+"/var/lib/opcredsd", "RUNTIME_DIRECTORY="+h.root+"/run/opcredsd",
		fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino))
	h.check(cmd.Start())
	h.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			h.t.Errorf("the daemon: %v", err)
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(log.Name())
		h.check(err)
		if strings.Contains(string(text), `msg="ready"`) {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("the daemon is not ready:\n%s", text)
		}
	}
}

// command runs a command of the document. It must fail exactly if the document shows
// that it does, except doctor, which may find problems of this machine.
func (h *machine) command(s step) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "sh", "-c", h.place(s.command))
	cmd.Env, cmd.Dir = h.env, h.root
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatal(err)
	}
	h.last = strings.ReplaceAll(string(out), h.root, "")
	if strings.Contains(s.command, "doctor") {
		h.last = regexp.MustCompile(`opcredsd: \d+ faults?: .*\n$`).ReplaceAllString(h.last, "")
		return
	}
	if failed := err != nil; failed != strings.Contains(h.last, "opcredsd: ") {
		h.t.Fatalf("docs/quickstart.md:%d: $ %s\n%v\n%s", s.line, s.command, err, h.last)
	}
}

// happen does what others than the operator do: with "pair LABEL" an app commissions
// the node with the code that was shown last.
func (h *machine) happen(event string) {
	h.t.Helper()
	label, ok := strings.CutPrefix(event, "pair ")
	m := regexp.MustCompile(`Manual code: +(\d)(\d{3})-(\d{2})(\d)-(\d{3})\d`).FindStringSubmatch(h.last)
	if !ok || m == nil {
		h.t.Fatalf("%q, after %q", event, h.last)
	}
	// Digits 2 to 6 have the passcode's lower 14 bits, 7 to 10 the others.
	low, err := strconv.ParseUint(m[2]+m[3], 10, 32)
	h.check(err)
	high, err := strconv.ParseUint(m[4]+m[5], 10, 32)
	h.check(err)
	h.pair(uint32(low&0x3FFF|high<<14), label)
}

// pair commissions the node over the link, names the fabric and subscribes.
func (h *machine) pair(passcode uint32, label string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	var conns []transport.PacketConn
	var err error
	h.lab.Do(func() { conns, err = transport.Listen(transport.Options{}) })
	h.check(err)
	for _, c := range conns[1:] { // IPv4
		h.check(c.Close())
	}
	client := commissioner.New(conns[0])
	h.t.Cleanup(client.Close)
	authority, err := commissioner.NewAuthority(commissioner.AuthorityOptions{ICAC: true})
	h.check(err)
	addr := netip.AddrPortFrom(h.lab.LinkLocal("eth0").WithZone("eth0"), 5540)
	done, err := client.Commission(ctx, addr, passcode, authority)
	h.check(err)
	h.check(done.CASE.UpdateFabricLabel(ctx, label))
	const basicInformation, nodeLabel = matter.ClusterID(0x28), matter.AttributeID(5)
	_, err = done.CASE.Subscribe(ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, basicInformation, nodeLabel)}}, 0, 60)
	h.check(err)
}
