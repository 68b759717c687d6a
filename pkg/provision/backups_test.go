package provision

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The time of the last backup survives a restart; a file that is damaged is no backup.
func TestBackups(t *testing.T) {
	dir := t.TempDir()
	b := OpenBackups(dir)
	if !b.Last().IsZero() {
		t.Errorf("a new directory: %v", b.Last())
	}
	at := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	if err := b.Made(at); err != nil || !b.Last().Equal(at) {
		t.Errorf("%v, %v", b.Last(), err)
	}
	if got := OpenBackups(dir).Last(); !got.Equal(at) {
		t.Errorf("after a restart: %v", got)
	}
	if list, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(list) != 1 {
		t.Errorf("left over: %v, %v", list, err)
	}
	if err := os.WriteFile(filepath.Join(dir, lastBackup), []byte("yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := OpenBackups(dir).Last(); !got.IsZero() {
		t.Errorf("damaged: %v", got)
	}
}
