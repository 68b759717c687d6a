package doctor

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Unit is the daemon's systemd unit. It may have less access to the file system
// than the user who runs the doctor.
type Unit struct {
	Name string
	// User is the user of the unit. UID is -1 if it is not known.
	User string
	UID  int
	// Strict means that everything is read-only except the directories in Writable.
	Strict   bool
	Writable []string
	// HomeHidden means that the unit cannot see the homes of users.
	HomeHidden bool
}

// systemctlTime is how long systemctl may take.
const systemctlTime = 2 * time.Second

// FindUnit returns a unit by its name, or nil if systemd does not run or there is no such
// unit.
func FindUnit(name string) *Unit {
	if name == "" || !exists("/run/systemd/system") {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), systemctlTime)
	defer cancel()
	properties := "--property=LoadState,User,ProtectSystem,ProtectHome,ReadWritePaths,StateDirectory"
	out, err := exec.CommandContext(ctx, "systemctl", "show", properties, name).Output()
	if err != nil {
		return nil
	}
	u := parseUnit(name, out)
	if u != nil && u.User != "" {
		if found, err := user.Lookup(u.User); err == nil {
			u.UID, _ = strconv.Atoi(found.Uid)
		}
	}
	return u
}

// parseUnit parses the output of "systemctl show": lines of the form Property=value. It
// returns nil if there is no such unit.
func parseUnit(name string, out []byte) *Unit {
	p := map[string]string{}
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		name, value, _ := strings.Cut(sc.Text(), "=")
		p[name] = value
	}
	if p["LoadState"] != "loaded" {
		return nil
	}
	u := &Unit{Name: name, User: p["User"], UID: -1, Strict: p["ProtectSystem"] == "strict", HomeHidden: p["ProtectHome"] == "yes" || p["ProtectHome"] == "tmpfs"}
	for _, dir := range strings.Fields(p["StateDirectory"]) {
		u.Writable = append(u.Writable, filepath.Join("/var/lib", dir))
	}
	for _, dir := range strings.Fields(p["ReadWritePaths"]) {
		u.Writable = append(u.Writable, filepath.Clean(strings.TrimLeft(dir, "-+"))) // "-" means that it may be missing
	}
	return u
}

// Check returns an error if the unit cannot use the state directory at path, with what to
// do about it. It returns nil if u is nil.
func (u *Unit) Check(path string) error {
	if u == nil {
		return nil
	}
	s := stateDir(path)
	if text, remedy, wrong := u.check(&s); wrong {
		return fmt.Errorf("%s: %s", text, remedy)
	}
	return nil
}

// check reports whether the unit cannot write to a state directory. It returns the
// reason and the remedy.
func (u *Unit) check(s *StateDir) (text, remedy string, wrong bool) {
	path, err := filepath.Abs(s.Path)
	if err != nil {
		path = s.Path
	}
	below := func(dir string) bool { return within(path, dir) }
	edit := fmt.Sprintf("systemctl edit %s: [Service] ReadWritePaths=%s", u.Name, path)
	switch {
	case u.HomeHidden && slices.ContainsFunc([]string{"/home", "/root", "/run/user"}, below):
		return fmt.Sprintf("%s cannot see %s (ProtectHome=)", u.Name, path), "name a directory outside of the homes with state_dir", true
	case u.Strict && !slices.ContainsFunc(u.Writable, below):
		return fmt.Sprintf("%s may not write to %s (ProtectSystem=strict)", u.Name, path), edit, true
	case s.Exists && u.UID >= 0 && u.UID != s.Owner && u.UID != 0:
		return fmt.Sprintf("%s belongs to user id %d, and %s runs as %s", path, s.Owner, u.Name, u.User),
			fmt.Sprintf("chown -R %s: %s", u.User, path), true
	}
	return "", "", false
}
