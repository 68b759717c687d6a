package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

func TestSealNoticesEveryChange(t *testing.T) {
	bucket, key := []byte("fabrics"), []byte{1}
	value, err := seal(bucket, key, sampleFabric(1))
	if err != nil {
		t.Fatal(err)
	}
	var f Fabric
	if err := unseal(bucket, key, value, &f); err != nil || !reflect.DeepEqual(f, sampleFabric(1)) {
		t.Fatalf("round trip: %+v, %v", f, err)
	}
	for i := range value {
		changed := bytes.Clone(value)
		changed[i] ^= 0x01
		if unseal(bucket, key, changed, new(Fabric)) == nil {
			t.Errorf("flip at %d was not noticed", i)
		}
		if unseal(bucket, key, value[:i], new(Fabric)) == nil {
			t.Errorf("cut at %d was not noticed", i)
		}
	}
	if unseal(bucket, []byte{2}, value, new(Fabric)) == nil || unseal([]byte("other"), key, value, new(Fabric)) == nil {
		t.Error("a record under another key was taken")
	}
}

func TestErrorsDoNotQuoteRecords(t *testing.T) {
	err := decode([]byte(`{"index":1,"key":"c2VjcmV0","secret_member":"c2VjcmV0"}`), new(Fabric))
	if err == nil || strings.Contains(err.Error(), "c2Vj") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for _, text := range []string{``, `{`, `null x`, `{"index":1}{}`, `{"index":256}`, `{"index":-1}`, `{"index":1.5}`, `{"unknown":1}`, `[]`, `"x"`, `{"key":"?"}`} {
		if decode([]byte(text), new(Fabric)) == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

// FuzzDecode: every text that can be decoded can be encoded and decoded again
// without a change.
func FuzzDecode(f *testing.F) {
	for _, v := range []any{sampleFabric(1), sampleNode(), sampleAttestation(), sampleResumption(1, 2), sampleSubscription(1, 2, 3)} {
		text, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"acl":[{"subjects":[18446744073709551615],"targets":[{"cluster":4294967295}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fixed[Fabric](t, text)
		fixed[Node](t, text)
		fixed[Attestation](t, text)
		fixed[Resumption](t, text)
		fixed[Subscription](t, text)
	})
}

func fixed[T any](t *testing.T, text []byte) {
	var a, b T
	if decode(text, &a) != nil {
		return
	}
	first, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := decode(first, &b); err != nil {
		t.Fatalf("%T: what was written cannot be read: %v", a, err)
	}
	second, err := json.Marshal(b)
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("%T: %s became %s, %v", a, first, second, err)
	}
}

func TestMigrationIsOneTransaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	defer s.Close()
	fillStore(t, s, 2)
	before := contentOf(t, s)
	boom := errors.New("boom")
	relabel := func(r *raw) error {
		for i := byte(1); i <= 2; i++ {
			var f Fabric
			if _, err := r.read(bucketFabrics, []byte{i}, &f); err != nil {
				return err
			}
			f.Label = "migrated"
			if err := r.write(bucketFabrics, []byte{i}, f); err != nil {
				return err
			}
		}
		return nil
	}
	steps := append(slices.Clone(migrations), relabel)
	failing := append(slices.Clone(steps), func(*raw) error { return boom })

	if err := s.Update(func(tx *Tx) error { return tx.migrate(SchemaVersion, failing) }); !errors.Is(err, boom) {
		t.Errorf("failing migration: %v", err)
	}
	if after := contentOf(t, s); !reflect.DeepEqual(before, after) {
		t.Error("a failed migration changed records")
	}
	update(t, s, func(tx *Tx) error { return tx.migrate(SchemaVersion, steps) })
	c := contentOf(t, s)
	if c.fabrics[0].Label != "migrated" || c.fabrics[1].Label != "migrated" {
		t.Errorf("labels %q, %q", c.fabrics[0].Label, c.fabrics[1].Label)
	}
	update(t, s, func(tx *Tx) error {
		if v, err := tx.schemaVersion(); err != nil || v != SchemaVersion+1 {
			t.Errorf("schema version %d, %v; want one more", v, err)
		}
		return tx.put(bucketMeta, keySchema, SchemaVersion)
	})
}

func TestEveryReleasedSchemaCanBeReached(t *testing.T) {
	if len(migrations) != SchemaVersion {
		t.Errorf("%d migrations for schema %d", len(migrations), SchemaVersion)
	}
}

func TestCheckFindsWhatDoesNotHold(t *testing.T) {
	raw := func(bucket, key []byte, v any) func(*Tx) error {
		return func(tx *Tx) error { return tx.put(bucket, key, v) }
	}
	withoutKey := sampleFabric(1)
	withoutKey.Key = nil
	withoutIPK := sampleFabric(1)
	withoutIPK.KeySets = nil
	tests := map[string]struct {
		change func(*Tx) error
		want   string
	}{
		"fabric without key":          {raw(bucketFabrics, fabricKey(1), withoutKey), "operational key"},
		"fabric without IPK":          {raw(bucketFabrics, fabricKey(1), withoutIPK), "identity protection key"},
		"fabric under another index":  {raw(bucketFabrics, fabricKey(9), sampleFabric(1)), "another key"},
		"resumption of no fabric":     {raw(bucketResumptions, peerKey(9, 1), sampleResumption(9, 1)), "fabric 9"},
		"subscription of no fabric":   {raw(bucketSubscriptions, subscriptionKey(9, 1, 1), sampleSubscription(9, 1, 1)), "fabric 9"},
		"node out of range":           {raw(bucketNode, keyNode, Node{Discriminator: 5000}), "discriminator"},
		"attestation without key":     {raw(bucketNode, keyAttestation, Attestation{DAC: []byte{1}}), "attestation"},
		"counter that was set back":   {raw(bucketCounters, []byte("events"), 999), "counter events"},
		"counter that is no number":   {raw(bucketCounters, []byte("events"), "x"), "counters"},
		"record that is not sealed":   {func(tx *Tx) error { return tx.change(bucketFabrics, []byte{5}, []byte("{}")) }, "checksum"},
		"record that was not counted": {func(tx *Tx) error { return tx.b.Bucket(bucketFabrics).Delete(fabricKey(2)) }, "not those last written"},
		"resumption with short id":    {raw(bucketResumptions, peerKey(1, 1), Resumption{Fabric: 1, Peer: 1}), "resumption"},
		"subscription of no operator": {raw(bucketSubscriptions, subscriptionKey(1, 0, 0), Subscription{Fabric: 1}), "subscription"},
	}
	for name, test := range tests {
		s := open(t, filepath.Join(t.TempDir(), FileName))
		fillStore(t, s, 2)
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		update(t, s, test.change)
		if err := s.Check(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want a word of %q", name, err, test.want)
		}
		s.Close()
	}
}

func TestFabricWithoutAdministratorIsNotDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	fillStore(t, s, 2)
	f := sampleFabric(2)
	f.ACL = f.ACL[1:]
	update(t, s, func(tx *Tx) error { return tx.PutFabric(f) })
	if err := s.Check(); !errors.Is(err, ErrNoAdministrator) || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	s.Close()
	open(t, path).Close() // the other fabric must not be affected
}

func TestBackupIsAStoreOfItsOwn(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 5)
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, backupOf(t, s), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Open(path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if !reflect.DeepEqual(contentOf(t, c), contentOf(t, s)) {
		t.Error("the copy differs")
	}
	full := errors.New("no room")
	if err := s.Backup(failingWriter{full}); err == nil {
		t.Error("a copy that could not be written was a success")
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// An operator who has restored the wrong backup twice needs the first copy.
func TestEachRestoreKeepsItsOwnCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	backup := backupOf(t, s)
	label := func(name string) {
		t.Helper()
		update(t, s, func(tx *Tx) error { return tx.MutateNode(func(n *Node) error { n.NodeLabel = name; return nil }) })
		s.Close()
		if err := Restore(path, bytes.NewReader(backup), Options{}); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
	}
	label("first")
	label("second")
	label("third")
	s.Close()
	for name, want := range map[string]string{"": "first", ".2": "second", ".3": "third"} {
		s, err := Open(path+".before-restore"+name, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := contentOf(t, s).node.NodeLabel; got != want {
			t.Errorf("%q was kept as copy %q, want %q", got, name, want)
		}
		s.Close()
	}
	all, err := Files(filepath.Dir(path))
	if err != nil || len(all) != 5 {
		t.Errorf("files %q, %v", all, err)
	}
	s = open(t, path)
	defer s.Close()
	if err := s.RemoveCopies(); err != nil || names(t, filepath.Dir(path)) != "opcredsd.db opcredsd.db.initialised" {
		t.Errorf("%v; directory holds %s", err, names(t, filepath.Dir(path)))
	}
}

// A database that cannot be kept is not replaced.
func TestRestoreStopsWhereItCannotKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	backup := backupOf(t, s)
	fillStore(t, s, 1)
	s.Close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	opt := Options{Logger: slog.New(slog.NewTextHandler(log, nil)), link: func(string, string) error { return os.ErrPermission }}
	restore := func() error { return Restore(path, bytes.NewReader(backup), opt) }
	// If the file system has no links, the database is copied.
	if err := restore(); err != nil || log.Len() != 0 {
		t.Fatalf("%v; log %s", err, log)
	}
	if b, err := os.ReadFile(asidePath(path, 1)); err != nil || !bytes.Equal(b, before) || mode(t, asidePath(path, 1)) != 0o600 {
		t.Errorf("what was kept differs, %v", err)
	}
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	opt.link = func(_, name string) error { return errors.Join(os.ErrPermission, os.Mkdir(name, 0o700)) } // and this name exists
	if err := restore(); !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), "cannot keep") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want one line", err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, now) || names(t, filepath.Dir(path)) != "opcredsd.db opcredsd.db.before-restore opcredsd.db.before-restore.2 opcredsd.db.initialised" {
		t.Errorf("something was changed, %v: %s", err, names(t, filepath.Dir(path)))
	}
}

func TestRestore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", FileName)
	s := open(t, path)
	fillStore(t, s, 2)
	backup := backupOf(t, s)
	update(t, s, func(tx *Tx) error { return tx.DeleteFabric(1) })
	next, err := s.Reserve("events", 5000)
	if err != nil {
		t.Fatal(err)
	}
	if err := Restore(path, bytes.NewReader(backup), Options{LockTimeout: 1}); !errors.Is(err, ErrLocked) {
		t.Errorf("while it is open: %v", err)
	}
	s.Close()
	if err := Restore(path, bytes.NewReader(backup), Options{}); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	c := contentOf(t, s)
	if len(c.fabrics) != 2 || len(c.resumptions) != 0 || len(c.subscriptions) != 0 {
		t.Errorf("restored: %d fabrics, %d resumption records, %d subscriptions", len(c.fabrics), len(c.resumptions), len(c.subscriptions))
	}
	if first, err := s.Reserve("events", 1); err != nil || first < next+5000+restoreSkip {
		t.Errorf("event numbers go on at %d, %v", first, err)
	}
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db opcredsd.db.before-restore opcredsd.db.initialised" {
		t.Errorf("directory holds %s", got)
	}
	old, err := Open(asidePath(path, 1), Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if got := contentOf(t, old).fabrics; len(got) != 1 || got[0].Index != 2 {
		t.Errorf("kept aside: %+v", got)
	}
}

func TestRestoreHealsADamagedOrMissingDatabase(t *testing.T) {
	source := newStore(t)
	fillStore(t, source, 1)
	backup := backupOf(t, source)
	for name, prepare := range map[string]func(path string) error{
		"missing": os.Remove,
		"damaged": func(path string) error { return os.Truncate(path, 10000) },
		"empty":   func(path string) error { return os.Truncate(path, 0) },
	} {
		path := filepath.Join(t.TempDir(), FileName)
		open(t, path).Close()
		if err := prepare(path); err != nil {
			t.Fatal(err)
		}
		if err := Restore(path, bytes.NewReader(backup), Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := open(t, path)
		if c := contentOf(t, s); len(c.fabrics) != 1 {
			t.Errorf("%s: %d fabrics", name, len(c.fabrics))
		}
		s.Close()
	}
}

func TestRestoreRefusesABadCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	fillStore(t, s, 3)
	good := backupOf(t, s)
	update(t, s, func(tx *Tx) error { return tx.put(bucketMeta, keySchema, SchemaVersion+1) })
	future := backupOf(t, s)
	update(t, s, func(tx *Tx) error {
		return errors.Join(tx.put(bucketMeta, keySchema, SchemaVersion), tx.put(bucketFabrics, fabricKey(4), Fabric{Index: 4}))
	})
	half := backupOf(t, s)
	update(t, s, func(tx *Tx) error { return tx.DeleteFabric(4) })
	s.Close()
	before, _ := os.ReadFile(path)
	flipped := bytes.Clone(good)
	flipped[bytes.Index(good, []byte(`"label"`))] ^= 4
	for name, test := range map[string]struct {
		b    []byte
		want error
	}{
		"cut":         {good[:len(good)/2], ErrDamaged},
		"empty":       {nil, ErrDamaged},
		"flipped":     {flipped, ErrDamaged},
		"newer":       {future, ErrNewer},
		"half fabric": {half, ErrDamaged},
	} {
		err := Restore(path, bytes.NewReader(test.b), Options{})
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Restore(path, neverEnding{}, Options{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "too large") {
		t.Errorf("endless: %v", err)
	}
	if err := Restore(path, iotest.ErrReader(os.ErrDeadlineExceeded), Options{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("copy that cannot be read: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the database has changed")
	}
	if got := names(t, filepath.Dir(path)); got != "opcredsd.db opcredsd.db.initialised" {
		t.Errorf("directory holds %s", got)
	}
	open(t, path).Close()
}

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }

func TestLockOwner(t *testing.T) {
	const locks = `1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF
2: FLOCK  ADVISORY  WRITE 12 fe:00:78 0 EOF
3: FLOCK  ADVISORY  WRITE 13 00:2b:77 0 EOF
4: FLOCK  ADVISORY  READ 14 fe:00:77 0 EOF
4: -> FLOCK  ADVISORY  WRITE 15 fe:00:77 0 EOF
5: FLOCK  ADVISORY  WRITE -1 fe:00:79 0 EOF
6: FLOCK
`
	for _, test := range []struct {
		dev, inode uint64
		want       int
	}{
		{0xFE00, 77, 14}, {0xFE00, 78, 12}, {0x2B, 77, 13},
		{0x01, 78, 12}, // as on file systems with their own device numbers
		{0xFE00, 79, 0}, {0xFE00, 7, 0},
	} {
		if got := lockOwner(locks, test.dev, test.inode); got != test.want {
			t.Errorf("owner of %x:%d is %d, want %d", test.dev, test.inode, got, test.want)
		}
	}
}

func TestFabricsAreInOrderOfTheirIndices(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *Tx) error {
		for _, i := range []matter.FabricIndex{200, 3, 254, 1, 128} {
			if err := tx.PutFabric(sampleFabric(i)); err != nil {
				return err
			}
		}
		return nil
	})
	var last matter.FabricIndex
	for _, f := range contentOf(t, s).fabrics {
		if f.Index <= last {
			t.Errorf("fabric %d comes after %d", f.Index, last)
		}
		last = f.Index
	}
	if last != 254 {
		t.Errorf("last fabric is %d", last)
	}
}

func TestNothingBelongsToAFabricThatIsNotStored(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 1)
	if err := s.Update(func(tx *Tx) error { return tx.PutResumption(sampleResumption(2, 1)) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("resumption record: %v", err)
	}
	if err := s.Update(func(tx *Tx) error { return tx.PutSubscription(sampleSubscription(2, 1, 1)) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("subscription: %v", err)
	}
}

// scribble changes everything that slices and pointers refer to.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			scribble(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			scribble(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			scribble(v.Elem())
		}
	case reflect.String:
		v.SetString("scribble")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	default:
		v.SetUint(v.Uint() ^ 0x5A)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	f := sampleFabric(1)
	f.VVSC = []byte{1}
	want := sampleFabric(1)
	want.VVSC = []byte{1}
	c := f.Clone()
	if !reflect.DeepEqual(c, f) {
		t.Errorf("clone differs: %+v", c)
	}
	scribble(reflect.ValueOf(&c).Elem())
	if !reflect.DeepEqual(f, want) {
		t.Errorf("a change to the clone reached the original: %+v", f)
	}
}
