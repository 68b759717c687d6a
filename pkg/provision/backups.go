package provision

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// lastBackup is the file in the state directory with the time of the last backup, RFC 3339.
const lastBackup = "last-backup"

// Backups knows when the store of a state directory was last copied. It may be used by
// several goroutines.
type Backups struct {
	mu   sync.Mutex
	path string
	last time.Time
}

// OpenBackups reads when the store in stateDir was last copied.
func OpenBackups(stateDir string) *Backups {
	b := &Backups{path: filepath.Join(stateDir, lastBackup)}
	if text, err := os.ReadFile(b.path); err == nil {
		b.last, _ = time.Parse(time.RFC3339, strings.TrimSpace(string(text))) // the zero time if it is damaged
	}
	return b
}

// Last returns the time of the last backup, the zero time if there was none.
func (b *Backups) Last() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// Made records a backup. It takes the place of a file that root has written, too.
func (b *Backups) Made(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = now
	f, err := os.CreateTemp(filepath.Dir(b.path), lastBackup+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.WriteString(now.UTC().Format(time.RFC3339) + "\n")
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644) // it is no secret, and root's copy must be read by the daemon
	}
	if err == nil {
		err = os.Rename(f.Name(), b.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
