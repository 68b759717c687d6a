package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// roleCreate opens a store, which may not exist yet, reserves a block of values and
// prints its first value.
func roleCreate(args []string) error {
	s, err := Open(args[0], Options{LockTimeout: 20 * time.Second})
	if err != nil {
		return err
	}
	first, err := s.Reserve("race", 10)
	if err == nil {
		fmt.Println(first)
	}
	return errors.Join(err, s.Close())
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestFirstStartMakesWhatItNeeds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "state")
	s := open(t, filepath.Join(dir, FileName))
	defer s.Close()
	if got := names(t, dir); got != "opcredsd.db opcredsd.db.initialised" {
		t.Errorf("directory holds %s", got)
	}
	if m := mode(t, dir); m != 0o700 {
		t.Errorf("directory has mode %04o", m)
	}
	if m := mode(t, s.Path()); m != 0o600 {
		t.Errorf("database has mode %04o", m)
	}
}

func TestUnfinishedCreationIsStartedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	for name, left := range map[string][]byte{"empty": nil, "garbage": bytes.Repeat([]byte{0xAB}, 40000)} {
		if err := os.WriteFile(newPath(path), left, 0o644); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
		if m := mode(t, path); m != 0o600 {
			t.Errorf("%s: database has mode %04o", name, m)
		}
		os.Remove(path)
		os.Remove(markerPath(path))
	}
}

func TestLeftoverBesideADatabaseIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	open(t, path).Close()
	if err := os.WriteFile(newPath(path), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, path).Close()
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db opcredsd.db.initialised" {
		t.Errorf("directory holds %s", got)
	}
}

func TestMissingDatabaseIsNotReplacedByAnEmptyOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	open(t, path).Close()
	os.Remove(path)
	for _, readOnly := range []bool{false, true} {
		_, err := Open(path, Options{ReadOnly: readOnly})
		if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), markerPath(path)) || strings.Contains(err.Error(), "\n") {
			t.Errorf("read-only %v: %v, want one line that names the marker", readOnly, err)
		}
	}
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db.initialised" {
		t.Errorf("directory holds %s", got)
	}
	os.Remove(markerPath(path)) // intentionally
	open(t, path).Close()
}

func TestMarkerIsWrittenLaterIfAKillWasBetween(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	open(t, path).Close()
	os.Remove(markerPath(path))
	open(t, path).Close()
	if _, err := os.Stat(markerPath(path)); err != nil {
		t.Error(err)
	}
}

func TestFileThatIsNoDatabaseIsRefusedAndKept(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "text": "[node]\nkey = value\n", "zeros": strings.Repeat("\x00", 1<<16)} {
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, Options{})
		if !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want ErrDamaged in one line", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Errorf("%s: the file was changed", name)
		}
	}
	path := filepath.Join(t.TempDir(), FileName)
	os.Mkdir(path, 0o700)
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("directory in its place: %v", err)
	}
}

func TestNewerSchemaIsRefusedAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	fillStore(t, s, 1)
	update(t, s, func(tx *Tx) error {
		if _, err := tx.b.CreateBucket([]byte("of the future")); err != nil {
			return err
		}
		return tx.put(bucketMeta, keySchema, SchemaVersion+1)
	})
	s.Close()
	before, _ := os.ReadFile(path)
	_, err := Open(path, Options{})
	if !errors.Is(err, ErrNewer) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}

func TestOtherBuckets(t *testing.T) {
	for name, change := range map[string]func(*bbolt.Tx) error{
		"missing":          func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucketFabrics) },
		"no meta":          func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucketMeta) },
		"no version":       func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keySchema) },
		"version unsealed": func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("1")) },
		"bucket in bucket": func(tx *bbolt.Tx) error {
			_, err := tx.Bucket(bucketFabrics).CreateBucket([]byte{1})
			return err
		},
	} {
		path := filepath.Join(t.TempDir(), FileName)
		s := open(t, path)
		commit := func(f func(*bbolt.Tx) error) error { return s.Update(func(tx *Tx) error { return f(tx.b) }) }
		if name == "no meta" { // nothing can contain the digest
			commit = s.db.Update
		}
		// Two commits, so that Open cannot go back to a valid transaction.
		if err := errors.Join(commit(change), commit(func(*bbolt.Tx) error { return nil }), s.db.Close()); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(path, Options{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
			s.Close()
		}
	}
}

func TestErrorNamesTheProcessThatHasTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	child := command(t, "hold", path)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	for _, readOnly := range []bool{false, true} {
		_, err := Open(path, Options{ReadOnly: readOnly, LockTimeout: time.Millisecond})
		var locked *LockedError
		if !errors.As(err, &locked) || !errors.Is(err, ErrLocked) {
			t.Fatalf("read-only %v: %v, want a LockedError", readOnly, err)
		}
		if locked.PID != child.Process.Pid || locked.Command == "" {
			t.Errorf("read-only %v: holder is %d (%s), want %d", readOnly, locked.PID, locked.Command, child.Process.Pid)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if pid := openedBy(info); pid != child.Process.Pid {
		t.Errorf("the file is open in %d, want %d", pid, child.Process.Pid)
	}
	// The lock ends with the process.
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	child.Wait()
	open(t, path).Close()
}

func TestProcessesThatStartTogetherShareOneDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", FileName)
	const n = 6
	outs := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			out, err := command(t, "create", path).CombinedOutput()
			if err != nil {
				t.Errorf("process %d: %v: %s", i, err, out)
			}
			outs[i] = strings.TrimSpace(string(out))
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, o := range outs {
		if seen[o] {
			t.Errorf("two processes were given the block at %s: they had two databases", o)
		}
		seen[o] = true
	}
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db opcredsd.db.initialised" {
		t.Errorf("directory holds %s", got)
	}
}

func TestReadOnlyChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", FileName)
	if _, err := Open(path, Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("never there: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the directory was made")
	}
	s := open(t, path)
	fillStore(t, s, 2)
	want := contentOf(t, s)
	s.Close()
	os.Remove(markerPath(path))
	os.Chmod(path, 0o644)
	a, err := Open(path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Open(path, Options{ReadOnly: true}) // readers share
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := contentOf(t, b); len(got.fabrics) != len(want.fabrics) {
		t.Errorf("%d fabrics", len(got.fabrics))
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
	if err := b.Update(func(*Tx) error { return nil }); err == nil {
		t.Error("a read-only store took an update")
	}
	if m := mode(t, path); m != 0o644 || names(t, filepath.Dir(path)) != FileName {
		t.Errorf("mode %04o, directory %s", m, names(t, filepath.Dir(path)))
	}
}

func TestOpenModesAreRepairedWithANote(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, FileName)
	open(t, path).Close()
	os.Chmod(dir, 0o755)
	os.Chmod(path, 0o640)
	var log bytes.Buffer
	s, err := Open(path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if d, f := mode(t, dir), mode(t, path); d != 0o700 || f != 0o600 {
		t.Errorf("modes %04o and %04o", d, f)
	}
	if got := log.String(); !strings.Contains(got, "0755") || !strings.Contains(got, "0640") {
		t.Errorf("log: %s", got)
	}
}

func TestForeignDirectoryIsLeftAsItIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	os.Mkdir(dir, 0o755)
	os.WriteFile(filepath.Join(dir, ".profile"), nil, 0o644)
	path := filepath.Join(dir, FileName)
	var log bytes.Buffer
	s, err := Open(path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if m := mode(t, dir); m != 0o755 {
		t.Errorf("mode of a directory that is not ours is now %04o", m)
	}
	if !strings.Contains(log.String(), "open to other users") {
		t.Errorf("log: %s", log.String())
	}
	os.Chmod(dir, 0o777)
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("directory that everybody may write to: %v", err)
	}
}
