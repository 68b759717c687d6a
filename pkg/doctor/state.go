package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mdns"
)

// clockFloor is a date before the first release of this program.
var clockFloor = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const setClock = "set it, and keep it set: timedatectl set-ntp true"

func checkClock(f *Facts) (out []Finding) {
	now := f.Now.UTC().Format("2006-01-02 15:04")
	if f.Now.Before(clockFloor) {
		return []Finding{{Result: Fault, Text: "the clock says " + now, Remedy: setClock}}
	}
	for _, v := range f.Validity {
		switch {
		case f.Now.Before(v.NotBefore):
			out = append(out, Finding{
				Result: Fault, Text: fmt.Sprintf("the clock says %s, before %s begins (%s)", now, v.What, v.NotBefore.UTC().Format(time.DateOnly)),
				Remedy: setClock,
			})
		case !v.NotAfter.IsZero() && f.Now.After(v.NotAfter):
			out = append(out, Finding{
				Result: Fault, Text: fmt.Sprintf("the clock says %s, after %s has ended (%s)", now, v.What, v.NotAfter.UTC().Format(time.DateOnly)),
				Remedy: "set the clock if it is wrong; otherwise " + v.Renew,
			})
		}
	}
	if out != nil {
		return out
	}
	if f.Unsynced {
		return []Finding{{Result: Note, Text: "the clock says " + now + ", and nothing keeps it right", Remedy: setClock}}
	}
	return ok("the clock says %s", now)
}

// enoughSpace is the free space that the store should have: several times its largest
// size, in octets.
const enoughSpace = 16 << 20

// networkFileSystems are file systems whose locks and syncs depend on another
// machine.
var networkFileSystems = []string{"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs", "afs"}

func checkStateDir(f *Facts) (out []Finding) {
	s := &f.StateDir
	fault := func(r Result, remedy, format string, args ...any) {
		out = append(out, Finding{Result: r, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	switch {
	case s.Err != nil:
		fault(Fault, "name a directory that the daemon may write to with --state-dir", "%v", s.Err)
		return out
	case s.Exists && !s.Mode.IsDir():
		fault(Fault, "name a directory with --state-dir", "%s is not a directory", s.Path)
		return out
	case s.Exists && s.Mode.Perm()&0o002 != 0:
		fault(Fault, "chmod 700 "+s.Path, "everybody can write to %s (mode %04o)", s.Path, s.Mode.Perm())
	case s.Exists && s.Mode.Perm()&0o077 != 0:
		fault(Note, "chmod 700 "+s.Path, "other users can look into %s (mode %04o)", s.Path, s.Mode.Perm())
	}
	switch {
	case s.ReadOnly:
		fault(Fault, "mount it for writing, or name another directory with --state-dir", "%s lies on a file system that is read-only", s.Path)
	case s.Exists && !s.Writable:
		fault(Note, askAsRoot, "this user cannot write to %s", s.Path)
	}
	switch t := s.Mount.FSType; {
	case slices.Contains(networkFileSystems, t):
		fault(Fault, "keep it on a disk of this machine: a network file system may lose locks and writes", "%s lies on a network file system (%s)", s.Path, t)
	case f.Container != "" && s.Mount.volume(s.Path) != nil:
		fault(Fault, "mount a volume there", "%v", s.Mount.volume(s.Path))
	case passing(t) && t != "overlay":
		fault(Note, "name another directory with --state-dir: fabrics would be lost", "%s lies in memory (%s) and is gone after a reboot", s.Path, t)
	}
	if !s.ReadOnly && s.Free < enoughSpace {
		fault(Fault, "make room: the store takes up to a few MB and every commit needs some", "only %d kB are free for %s", s.Free>>10, s.Path)
	}
	if f.Unit != nil && f.Daemon == nil { // a running daemon has written to it
		if text, remedy, wrong := f.Unit.check(s); wrong {
			fault(Fault, remedy, "%s", text)
		}
	}
	if out != nil {
		return out
	}
	if !s.Exists {
		return ok("%s will be made at the first start", s.Path)
	}
	return ok("%s", s.Path)
}

func checkConfig(f *Facts) []Finding {
	switch c := f.Config; {
	case c.File == "":
		return ok("no file, the defaults")
	case c.Open:
		return []Finding{{Result: Note, Text: "everybody can read the passcode in " + c.File, Remedy: "chown opcredsd " + c.File + " && chmod 600 " + c.File}}
	default:
		return ok("%s", c.File)
	}
}

func checkStore(f *Facts) []Finding {
	switch {
	case f.Store.Missing:
		return ok("there is none yet: the first start makes it")
	case f.Denied && f.Store.Err != nil:
		return []Finding{{Result: Note, Text: "this user may not look at it", Remedy: askAsRoot}}
	case f.Store.Err != nil:
		return []Finding{{Result: Fault, Text: f.Store.Err.Error(), Remedy: f.Store.Remedy}}
	}
	return ok("in order")
}

func checkAttestation(f *Facts) (out []Finding) {
	a := f.Attestation
	if a == nil && f.Store.Err != nil {
		return []Finding{{Result: Note, Text: "not looked at, as the store cannot be read", Remedy: "see the check of the store"}}
	}
	if a == nil {
		return ok("there is no material yet: the first start makes some for development")
	}
	for _, t := range a.Faults {
		out = append(out, Finding{Result: Fault, Text: t, Remedy: "import good material: opcredsd attestation import"})
	}
	if a.Test {
		out = append(out, Finding{Result: Note, Text: "the material is for TEST: controllers say that the device is not certified", Remedy: "for a product, import its own: opcredsd attestation import"})
	} else {
		for _, t := range a.Notes {
			out = append(out, Finding{Result: Note, Text: t, Remedy: "opcredsd attestation verify --paa FILE --cd-signer FILE checks that too"})
		}
	}
	if out == nil {
		return ok("production material, good")
	}
	return out
}

func checkDaemon(f *Facts) []Finding {
	switch {
	case f.Denied:
		return []Finding{{Result: Note, Text: "this user may not ask it", Remedy: askAsRoot}}
	case f.Daemon == nil:
		return []Finding{{Result: Note, Text: "no daemon runs here", Remedy: "opcredsd run, or systemctl start opcredsd"}}
	case f.Daemon.Err != nil:
		return []Finding{{Result: Fault, Text: "the daemon runs, but: " + f.Daemon.Err.Error(), Remedy: "its log says more: journalctl -u opcredsd"}}
	}
	return ok("it runs and answers")
}

// twoNodes is the remedy for two hosts that announce the same node.
const twoNodes = "a copy of the state directory runs there: stop one of the two; opcredsd factory-reset makes a copy a node of its own"

func checkRecords(f *Facts) (out []Finding) {
	switch {
	case f.Denied:
		return []Finding{{Result: Note, Text: "not looked for, as only the daemon knows them", Remedy: askAsRoot}}
	case f.Daemon == nil:
		return ok("not looked for: no daemon runs")
	case len(f.Daemon.Records) == 0:
		return []Finding{{
			Result: Note, Text: "the node announces nothing: it has no fabrics, and no commissioning window is open",
			Remedy: "opcredsd window open",
		}}
	}
	var found []string
	for _, r := range f.Daemon.Records {
		name := r.Name
		if r.Interface != "" {
			name += " on " + r.Interface
		}
		if r.Err == nil {
			found = append(found, name)
			continue
		}
		at := Finding{Result: Fault, Text: fmt.Sprintf("%s: %v", name, r.Err), Remedy: "let UDP port 5353 and multicast through the firewall of this host; look at the checks above"}
		if errors.Is(r.Err, mdns.ErrOtherHost) {
			at.Remedy = twoNodes
		}
		out = append(out, at)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Daemon.Rivals)) {
		out = append(out, Finding{
			Result: Fault, Text: fmt.Sprintf("this node is announced by another host, too: %s on %s", strings.Join(f.Daemon.Rivals[name], ", "), name),
			Remedy: twoNodes,
		})
	}
	if len(found) > 0 {
		out = append(out, ok("found from the wire: %s", strings.Join(found, ", "))...)
	}
	return out
}

// StateDir describes the directory of the store.
type StateDir struct {
	Path     string
	Err      error // why nothing else is known
	Exists   bool
	Mode     fs.FileMode
	Owner    int  // user id
	Writable bool // by this user
	ReadOnly bool // the file system is
	Mount    Mount
	Free     uint64 // octets, for this user
}
