package store

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// oldFile is a database that a program with an older schema has written, and its
// known content. testdata/README.md describes how to create one.
type oldFile struct {
	schema  int
	file    []byte
	Devices []string // ids, in order
	Fabrics []struct {
		Index   int
		KeySets []struct { // in schema 1
			ID   uint16
			Keys []struct {
				EpochKey       []byte `json:"epoch_key"`
				OperationalKey []byte `json:"operational_key"`
				Start          uint64
			}
		} `json:"key_sets"`
	}
}

func readOld(t testing.TB, schema int) (old oldFile) {
	t.Helper()
	old.schema = schema
	name := fmt.Sprintf("testdata/schema%d", schema)
	text, err := os.ReadFile(name + ".json")
	if err == nil {
		err = json.Unmarshal(text, &old)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name + ".db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		old.file, err = io.ReadAll(z)
	}
	if err != nil {
		t.Fatal(err)
	}
	return old
}

// eachSchema runs f for each older schema.
func eachSchema(t *testing.T, f func(t *testing.T, old oldFile)) {
	for v := 1; v < SchemaVersion; v++ {
		t.Run(fmt.Sprintf("schema %d", v), func(t *testing.T) { f(t, readOld(t, v)) })
	}
}

// place writes the database into a new state directory.
func (old *oldFile) place(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state", FileName)
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, old.file, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// epochKeys returns the number of the epoch keys in a file.
func (old *oldFile) epochKeys(t testing.TB, path string) (n int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range old.Fabrics {
		for _, set := range f.KeySets {
			for _, k := range set.Keys {
				if bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(k.EpochKey))) || bytes.Contains(b, k.EpochKey) {
					n++
				}
			}
		}
	}
	return n
}

// rawRecords returns all records of a file as JSON, except those of the meta
// bucket.
func rawRecords(t testing.TB, path string) map[string]map[string]json.RawMessage {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := make(map[string]map[string]json.RawMessage)
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
			if bytes.Equal(bucket, bucketMeta) {
				return nil
			}
			return b.ForEach(func(k, v []byte) error {
				var record map[string]json.RawMessage
				text := bytes.Clone(v[sumSize:])
				if json.Unmarshal(text, &record) != nil {
					record = map[string]json.RawMessage{"": text}
				}
				all[string(bucket)+"/"+string(k)] = record
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// isUpgraded compares a store with the old database.
func (old *oldFile) isUpgraded(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	c := contentOf(t, s)
	if len(c.fabrics) != len(old.Fabrics) {
		t.Fatalf("%d fabrics, want %d", len(c.fabrics), len(old.Fabrics))
	}
	old.hasDevices(t, &c)
	for i, f := range old.Fabrics {
		got := c.fabrics[i]
		if got.Added != 0 {
			t.Errorf("fabric %d was added at %d, which nothing in the file says", got.Index, got.Added)
		}
		if int(got.Index) != f.Index || old.schema == 1 && len(got.KeySets) != len(f.KeySets) {
			t.Fatalf("fabric %d with %d key sets, want %d with %d", got.Index, len(got.KeySets), f.Index, len(f.KeySets))
		}
		for j, set := range f.KeySets {
			want := GroupKeySet{ID: set.ID}
			for _, k := range set.Keys {
				want.Keys = append(want.Keys, GroupKey{Key: k.OperationalKey, Start: k.Start})
			}
			if !reflect.DeepEqual(got.KeySets[j], want) {
				t.Errorf("fabric %d: key set %+v, want %+v", f.Index, got.KeySets[j], want)
			}
		}
	}
}

// hasDevices compares the bridged devices with those of the old database.
func (old *oldFile) hasDevices(t testing.TB, c *content) {
	t.Helper()
	if old.schema < 3 {
		if len(c.devices)+len(c.endpoints) != 0 || c.nextEndpoint != 1 || c.composition.Version != 0 {
			t.Errorf("%d devices, %d endpoints, next endpoint %d, composition %d in a file that knew nothing of them",
				len(c.devices), len(c.endpoints), c.nextEndpoint, c.composition.Version)
		}
		return
	}
	ids := slices.Sorted(maps.Keys(c.devices))
	if len(ids) == 0 || !slices.Equal(ids, old.Devices) || len(c.endpoints) == 0 || c.nextEndpoint == 1 || c.composition.Version == 0 {
		t.Errorf("devices %q, %d endpoints, next endpoint %d, composition %d", ids, len(c.endpoints), c.nextEndpoint, c.composition.Version)
	}
}

func TestUpgrade(t *testing.T) { eachSchema(t, testUpgrade) }

func testUpgrade(t *testing.T, old oldFile) {
	path := old.place(t)
	if n := old.epochKeys(t, path); n < 6 && old.schema == 1 {
		t.Fatalf("only %d epoch keys in the old file: this shows nothing", n)
	}
	before := rawRecords(t, path)
	var log bytes.Buffer
	s, err := Open(path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	old.isUpgraded(t, s)
	if s.Schema() != SchemaVersion || !strings.Contains(log.String(), copyPath(path, old.schema)) {
		t.Errorf("schema %d, log %s", s.Schema(), &log)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after, was := rawRecords(t, path), rawRecords(t, copyPath(path, old.schema))
	if old.schema == 1 {
		for _, all := range []map[string]map[string]json.RawMessage{after, was} {
			for name := range all {
				delete(all[name], "key_sets")
			}
		}
	}
	if !reflect.DeepEqual(was, after) {
		t.Errorf("more than the key sets has changed:\n%s\nwas\n%s", after, was)
	}
	if n := old.epochKeys(t, path); n != 0 {
		t.Errorf("%d epoch keys are still in the file", n)
	}

	// The old program can open the copy.
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db opcredsd.db.initialised opcredsd.db.schema"+strconv.Itoa(old.schema) {
		t.Errorf("directory holds %s", got)
	}
	kept := copyPath(path, old.schema)
	if m := mode(t, kept); m != 0o600 {
		t.Errorf("the copy has mode %04o", m)
	}
	if got := rawRecords(t, kept); !reflect.DeepEqual(got, before) || old.schema == 1 && old.epochKeys(t, kept) == 0 {
		t.Errorf("the copy holds %s", got)
	}

	// The next start has nothing to do.
	log.Reset()
	info, err := os.Stat(kept)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Open(path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if again, err := os.Stat(kept); err != nil || !os.SameFile(info, again) || log.Len() != 0 {
		t.Errorf("the second start made another copy, %v; log %s", err, &log)
	}
}

func TestOlderSchemaIsReadAsItWillBe(t *testing.T) { eachSchema(t, testOlderSchemaIsReadAsItWillBe) }

func testOlderSchemaIsReadAsItWillBe(t *testing.T, old oldFile) {
	path := old.place(t)
	s, err := Open(path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	old.isUpgraded(t, s)
	if s.Schema() != old.schema {
		t.Errorf("schema %d, want that of the file", s.Schema())
	}
	other, err := Open(path, Options{ReadOnly: true}) // readers share
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	if _, err := Open(path, Options{LockTimeout: 1}); !errors.Is(err, ErrLocked) {
		t.Errorf("opened for writing while it is read: %v", err)
	}
	if err := s.Update(func(*Tx) error { return nil }); err == nil {
		t.Error("a read-only store took an update")
	}

	// A backup made now has the old schema, too.
	copied := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(copied, backupOf(t, s), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := rawRecords(t, copied), rawRecords(t, path); !reflect.DeepEqual(got, want) || old.schema == 1 && old.epochKeys(t, copied) == 0 {
		t.Errorf("the copy holds %s", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.View(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("View after Close: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, old.file) || names(t, filepath.Dir(path)) != FileName {
		t.Errorf("reading has changed something, %v", err)
	}
	open(t, path).Close() // the lock is free
}

func TestUpgradeNeedsItsCopy(t *testing.T) {
	old := readOld(t, 1)
	path := old.place(t)
	if err := os.MkdirAll(filepath.Join(copyPath(path, 1), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, Options{})
	if err == nil || !strings.Contains(err.Error(), "keep a copy") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want a refusal in one line", err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, old.file) {
		t.Errorf("the database was changed, %v", err)
	}
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db opcredsd.db.schema1" {
		t.Errorf("directory holds %s", got)
	}
}

// The copy of an earlier upgrade that was undone is replaced.
func TestUpgradeReplacesAnOldCopy(t *testing.T) {
	old := readOld(t, 1)
	path := old.place(t)
	if err := os.WriteFile(copyPath(path, 1), []byte("of another year"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, path).Close()
	if got, want := rawRecords(t, copyPath(path, 1)), len(rawRecords(t, path)); len(got) != want {
		t.Errorf("%d records in the copy, want %d", len(got), want)
	}
}

// Damage of an old file is found before the upgrade, and never written over.
func TestDamagedFileIsNotUpgraded(t *testing.T) { eachSchema(t, testDamagedFileIsNotUpgraded) }

func testDamagedFileIsNotUpgraded(t *testing.T, old oldFile) {
	rnd := rand.New(rand.NewPCG(11, 12))
	used := len(bytes.TrimRight(old.file, "\x00"))
	refused := 0
	for range 60 {
		b := bytes.Clone(old.file)
		b[rnd.IntN(used)] ^= 1 << rnd.IntN(8)
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{})
		if err == nil {
			old.isUpgraded(t, s)
			s.Close()
			continue
		}
		refused++
		if !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want ErrDamaged in one line", err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, b) || names(t, filepath.Dir(path)) != FileName {
			t.Errorf("a damaged file was changed, or copied: %v", err)
		}
		if _, err := Open(path, Options{ReadOnly: true}); !errors.Is(err, ErrDamaged) {
			t.Errorf("read only: %v", err)
		}
	}
	if refused < 6 {
		t.Errorf("only %d of 60 refused", refused)
	}
}

// A record with a correct checksum that cannot be upgraded.
func TestRecordThatCannotBeUpgraded(t *testing.T) {
	for name, change := range map[string]func(record map[string]json.RawMessage){
		"root that is none": func(r map[string]json.RawMessage) { r["root"] = []byte(`"AAAA"`) },
		"no root":           func(r map[string]json.RawMessage) { delete(r, "root") },
		"epoch key of 3 octets": func(r map[string]json.RawMessage) {
			r["key_sets"] = []byte(`[{"id":0,"keys":[{"key":"AAAA","start":0}]}]`)
		},
		"no epoch key": func(r map[string]json.RawMessage) { r["key_sets"] = []byte(`[{"id":0,"keys":[]}]`) },
		"derived already": func(r map[string]json.RawMessage) {
			r["key_sets"] = []byte(`[{"id":0,"keys":[{"operational_key":"AAAA"}]}]`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			old := readOld(t, 1)
			path := old.place(t)
			if change == nil { // so that the others show something
				changeSchema1(t, path, func(map[string]json.RawMessage) {})
				s := open(t, path)
				old.isUpgraded(t, s)
				s.Close()
				return
			}
			changeSchema1(t, path, change)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, Options{}); !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want ErrDamaged in one line", err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) || names(t, filepath.Dir(path)) != FileName {
				t.Errorf("a file that cannot be upgraded was changed, or copied: %v", err)
			}
		})
	}
}

// changeSchema1 changes the record of fabric 2 as a program with schema 1 would.
func changeSchema1(t *testing.T, path string, change func(record map[string]json.RawMessage)) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		var record map[string]json.RawMessage
		var d digest1
		meta, fabrics, key := tx.Bucket(bucketMeta), tx.Bucket(bucketFabrics), fabricKey(2)
		old := bytes.Clone(fabrics.Get(key))
		err := errors.Join(unseal(bucketFabrics, key, old, &record), unseal(bucketMeta, keyDigest, meta.Get(keyDigest), &d))
		if err != nil {
			return err
		}
		change(record)
		value, err := seal(bucketFabrics, key, record)
		if err != nil {
			return err
		}
		d.Sum ^= sum(bucketFabrics, key, old) ^ sum(bucketFabrics, key, value)
		digest, err := seal(bucketMeta, keyDigest, d)
		return errors.Join(err, fabrics.Put(key, value), meta.Put(keyDigest, digest))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestoreUpgradesAnOlderBackup(t *testing.T) {
	old := readOld(t, 1)
	path := filepath.Join(t.TempDir(), FileName)
	open(t, path).Close()
	if err := Restore(path, bytes.NewReader(old.file), Options{}); err != nil {
		t.Fatal(err)
	}
	if n := old.epochKeys(t, path); n != 0 {
		t.Errorf("%d epoch keys are in the file", n)
	}
	s := open(t, path)
	defer s.Close()
	old.isUpgraded(t, s)
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db opcredsd.db.before-restore opcredsd.db.initialised" {
		t.Errorf("directory holds %s", got)
	}
	// Restore reads a database of schema 1 that it replaces.
	under := old.place(t)
	var log bytes.Buffer
	if err := Restore(under, bytes.NewReader(backupOf(t, s)), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil || log.Len() != 0 {
		t.Errorf("in the place of a database of schema 1: %v, log %s", err, &log)
	}
	if b, err := os.ReadFile(asidePath(under, 1)); err != nil || !bytes.Equal(b, old.file) {
		t.Errorf("it is not kept as it was: %v", err)
	}
}

func TestNewerSchemaNamesTheWayBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	update(t, s, func(tx *Tx) error { return tx.put(bucketMeta, keySchema, SchemaVersion+1) })
	s.Close()
	if err := os.WriteFile(copyPath(path, SchemaVersion), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, Options{})
	if want := "store restore " + copyPath(path, SchemaVersion); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want one line with %q", err, want)
	}
}

func BenchmarkUpgrade(b *testing.B) {
	old := readOld(b, 1)
	for b.Loop() {
		open(b, old.place(b)).Close()
	}
}

// After a power cut in a commit of the old program, the new program starts. It
// undoes the commit, as the old program would have.
func TestUpgradeUndoesAnInterruptedCommit(t *testing.T) {
	old := readOld(t, 2)
	path := old.place(t)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		var f Fabric
		var d digest
		meta, fabrics, key := tx.Bucket(bucketMeta), tx.Bucket(bucketFabrics), fabricKey(1)
		was := bytes.Clone(fabrics.Get(key))
		err := errors.Join(unseal(bucketFabrics, key, was, &f), unseal(bucketMeta, keyDigest, meta.Get(keyDigest), &d))
		if err != nil {
			return err
		}
		f.Label = "interrupted"
		value, err := seal(bucketFabrics, key, f)
		if err != nil {
			return err
		}
		d.remove(bucketFabrics, key, was)
		d.add(bucketFabrics, key, value)
		d.Transaction = uint64(tx.ID())
		text, err := seal(bucketMeta, keyDigest, d)
		return errors.Join(err, fabrics.Put(key, value), meta.Put(keyDigest, text))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := os.Getpagesize()
	undone := 0
	for at := 2 * size; at < len(old.file); at += size {
		if bytes.Equal(whole[at:at+size], old.file[at:at+size]) {
			continue
		}
		undone++ // only this page is missing
		torn := bytes.Clone(whole)
		copy(torn[at:at+size], old.file[at:at+size])
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		old.isUpgraded(t, s)
		if got := contentOf(t, s).fabrics[0].Label; got != "A house" {
			t.Errorf("page %d: label %q", at/size, got)
		}
		s.Close()
	}
	if undone == 0 {
		t.Error("the commit has changed no page")
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	defer s.Close()
	if got := contentOf(t, s).fabrics[0].Label; got != "interrupted" {
		t.Errorf("the whole commit: label %q", got)
	}
}

// The same with a newer program's database: whether its last commit is complete is
// not known, so nothing is undone.
func TestInterruptedCommitOfANewerProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	fillStore(t, s, 2)
	update(t, s, func(tx *Tx) error { return tx.put(bucketMeta, keySchema, SchemaVersion+1) })
	before := fileOf(t, s)
	update(t, s, func(tx *Tx) error { return tx.DeleteFabric(1) })
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if !damagePage(t, path, before) {
		t.Fatal("the commit has changed no page")
	}
	damaged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{})
	if !errors.Is(err, ErrNewer) && !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want ErrNewer or ErrDamaged in one line", err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, damaged) {
		t.Errorf("the file was changed: %v", err)
	}
}
