package store

import (
	"bytes"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

func deviceIDs(t *testing.T, s *Store) (ids []string) {
	t.Helper()
	err := s.View(func(tx *Tx) error {
		return tx.Devices(func(id string, _ []byte) error { ids = append(ids, id); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestDevicesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	commits := 0
	s, err := Open(path, Options{OnCommit: func(time.Duration) { commits++ }})
	if err != nil {
		t.Fatal(err)
	}
	commits = 0
	want := map[string][]byte{"api:lamp-1": {}, "api:lamp-2": []byte("{}"), "z2m:0x00124b0001020304": bytes.Repeat([]byte{0xFF, 0}, MaxDevice/2), "mqtt:a.b_C:9": {0}}
	update(t, s, func(tx *Tx) error {
		for id, value := range want {
			if err := tx.PutDevice(id, value); err != nil {
				return err
			}
		}
		return tx.PutEndpoint(7, []byte("attributes"))
	})
	if commits != 1 {
		t.Errorf("%d commits for devices that were put together", commits)
	}
	s.Close()
	s = open(t, path)
	defer s.Close()
	if got := deviceIDs(t, s); !slices.Equal(got, []string{"api:lamp-1", "api:lamp-2", "mqtt:a.b_C:9", "z2m:0x00124b0001020304"}) {
		t.Errorf("devices %q", got)
	}
	c := contentOf(t, s)
	if !reflect.DeepEqual(c.devices, want) || string(c.endpoints[7]) != "attributes" {
		t.Error("records are not what was put")
	}
	update(t, s, func(tx *Tx) error {
		return errors.Join(tx.DeleteDevice("api:lamp-2"), tx.DeleteDevice("api:lamp-9"), tx.PutDevice("api:lamp-1", []byte("new")), tx.DeleteEndpoint(7), tx.DeleteEndpoint(8))
	})
	c = contentOf(t, s)
	if len(c.devices) != 3 || string(c.devices["api:lamp-1"]) != "new" || len(c.endpoints) != 0 {
		t.Errorf("%d devices, %d endpoints after two were removed", len(c.devices), len(c.endpoints))
	}
	update(t, s, func(tx *Tx) error { return errors.Join(tx.DeleteDevices(), tx.DeleteEndpoints()) })
	if c = contentOf(t, s); len(c.devices) != 0 || c.nextEndpoint != 8 {
		t.Errorf("%d devices when all are removed, next endpoint %d", len(c.devices), c.nextEndpoint)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestEndpointIsACopy(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *Tx) error { return tx.PutEndpoint(0xFFFE, []byte{1, 2}) })
	var got []byte
	err := s.View(func(tx *Tx) (err error) {
		var ok bool
		if _, ok, err = tx.Endpoint(3); err != nil || ok {
			t.Errorf("an endpoint that has nothing: %v, %v", ok, err)
		}
		got, _, err = tx.Endpoint(0xFFFE)
		return err
	})
	update(t, s, func(tx *Tx) error { return tx.DeleteEndpoint(0xFFFE) })
	if err != nil || !bytes.Equal(got, []byte{1, 2}) {
		t.Errorf("%x, %v", got, err)
	}
}

func TestDeviceRecordsThatAreRefused(t *testing.T) {
	s := newStore(t)
	for _, id := range []string{"", "a:", ":a", "ab", "lamp", "api:" + strings.Repeat("x", 125), "api:lamp 1", "api:lämp", "api:a/b", "api:\x00"} {
		if err := s.Update(func(tx *Tx) error { return tx.PutDevice(id, nil) }); !errors.Is(err, ErrInvalid) {
			t.Errorf("id %q: %v", id, err)
		}
	}
	for name, put := range map[string]func(tx *Tx) error{
		"device too large":     func(tx *Tx) error { return tx.PutDevice("api:a", make([]byte, MaxDevice+1)) },
		"attributes too large": func(tx *Tx) error { return tx.PutEndpoint(1, make([]byte, MaxAttributes+1)) },
		"endpoint 0xFFFF":      func(tx *Tx) error { return tx.PutEndpoint(0xFFFF, nil) },
		"digest too large":     func(tx *Tx) error { return tx.PutComposition(Composition{Version: 1, Digest: make([]byte, 65)}) },
		"no endpoints":         func(tx *Tx) error { _, err := tx.ReserveEndpoints(0); return err },
		"all endpoints":        func(tx *Tx) error { _, err := tx.ReserveEndpoints(0xFFFF); return err },
	} {
		if err := s.Update(put); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := contentOf(t, s); len(c.devices)+len(c.endpoints) != 0 || c.nextEndpoint != 1 {
		t.Errorf("something was kept: %+v", c)
	}
}

// reserve reserves the next numbers of endpoints.
func reserve(t *testing.T, s *Store, count int) (first matter.EndpointID) {
	t.Helper()
	update(t, s, func(tx *Tx) (err error) {
		first, err = tx.ReserveEndpoints(count)
		return err
	})
	return first
}

func TestEndpointNumbersOnlyGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	if n := reserve(t, s, 1); n != 1 {
		t.Errorf("first number %d", n)
	}
	update(t, s, func(tx *Tx) error { return tx.RaiseNextEndpoint(10) })
	if n := reserve(t, s, 5); n != 10 {
		t.Errorf("number %d after it was raised to 10", n)
	}
	update(t, s, func(tx *Tx) error { return tx.RaiseNextEndpoint(3) })
	stop := errors.New("stop")
	err := s.Update(func(tx *Tx) error {
		if n, err := tx.ReserveEndpoints(100); err != nil || n != 15 {
			t.Errorf("number %d, %v", n, err)
		}
		return stop
	})
	if err != stop {
		t.Error(err)
	}
	s.Close()
	s = open(t, path)
	defer s.Close()
	if n := reserve(t, s, 1); n != 15 {
		t.Errorf("number %d after a transaction that was given up, and a restart", n)
	}
	update(t, s, func(tx *Tx) error { return tx.PutEndpoint(300, nil) })
	update(t, s, func(tx *Tx) error { return tx.DeleteEndpoint(300) })
	if n := reserve(t, s, MaxEndpoint-300); n != 301 {
		t.Errorf("number %d after attributes of endpoint 300", n)
	}
	if err := s.Update(func(tx *Tx) error { _, err := tx.ReserveEndpoints(1); return err }); !errors.Is(err, ErrInvalid) {
		t.Errorf("beyond the last number: %v", err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestRestoreGivesNoEndpointNumberAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	reserve(t, s, 10)
	backup := backupOf(t, s)
	reserve(t, s, 40)
	s.Close()
	next := func(path string) matter.EndpointID {
		t.Helper()
		if err := Restore(path, bytes.NewReader(backup), Options{}); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		defer s.Close()
		return reserve(t, s, 1)
	}
	if n := next(path); n != 51 {
		t.Errorf("number %d after a restore, and 50 were given", n)
	}
	if n := next(path); n != 52 {
		t.Errorf("number %d after a second restore", n)
	}
	if n := next(filepath.Join(t.TempDir(), FileName)); n != 11+restoreSkipEndpoints {
		t.Errorf("number %d on another machine, where nobody knows which were given", n)
	}
	other := filepath.Join(t.TempDir(), FileName)
	s = open(t, other)
	reserve(t, s, 3)
	s.Close()
	if n := next(other); n != 11+restoreSkipEndpoints {
		t.Errorf("number %d over another node's database", n)
	}
}

func TestCompositionVersionOnlyGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	put := func(v uint32) error {
		return s.Update(func(tx *Tx) error { return tx.PutComposition(Composition{Version: v, Digest: []byte{byte(v)}}) })
	}
	if c := contentOf(t, s).composition; c.Version != 0 || c.Digest != nil {
		t.Errorf("of a new node: %+v", c)
	}
	if err := errors.Join(put(1), put(1), put(3)); err != nil {
		t.Fatal(err)
	}
	backup := backupOf(t, s)
	if err := put(2); !errors.Is(err, ErrInvalid) {
		t.Errorf("a lower version: %v", err)
	}
	if err := put(9); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := Restore(path, bytes.NewReader(backup), Options{}); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	if c := contentOf(t, s).composition; c.Version <= 9 || c.Digest != nil {
		t.Errorf("after a restore %+v, want a version beyond 9 and no digest", c)
	}
}

func TestFabricsGoWithoutTheDevices(t *testing.T) {
	s := newStore(t)
	fillStore(t, s, 3)
	before := contentOf(t, s)
	update(t, s, (*Tx).DeleteFabrics)
	after := contentOf(t, s)
	if len(after.fabrics) != 0 || !reflect.DeepEqual(after.devices, before.devices) || !reflect.DeepEqual(after.endpoints, before.endpoints) || after.nextEndpoint != before.nextEndpoint {
		t.Error("not the fabrics, and nothing else, were removed")
	}
}

// A member, a record or a bucket that a newer program has written is not damage.
func TestWhatANewerProgramWrote(t *testing.T) {
	for name, write := range map[string]func(tx *Tx) error{
		"member of the node": func(tx *Tx) error {
			return tx.put(bucketNode, keyNode, struct {
				Node
				Mood string `json:"mood"`
			}{sampleNode(), "good"})
		},
		"member of a fabric": func(tx *Tx) error {
			return tx.put(bucketFabrics, fabricKey(1), struct {
				Fabric
				Mood string `json:"mood"`
			}{sampleFabric(1), "good"})
		},
		"record": func(tx *Tx) error { return tx.put(bucketNode, []byte("mood"), "good") },
		"bucket": func(tx *Tx) error { _, err := tx.b.CreateBucket([]byte("moods")); return err },
		"bucket with records": func(tx *Tx) error {
			if _, err := tx.b.CreateBucket([]byte("moods")); err != nil {
				return err
			}
			return tx.put([]byte("moods"), []byte("now"), "good")
		},
	} {
		path := filepath.Join(t.TempDir(), FileName)
		s := open(t, path)
		fillStore(t, s, 1)
		update(t, s, write)
		s.Close()
		for _, readOnly := range []bool{false, true} {
			_, err := Open(path, Options{ReadOnly: readOnly})
			if !errors.Is(err, ErrNewer) || errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "good") {
				t.Errorf("%s: %v, want ErrNewer in one line", name, err)
			}
		}
	}
}

func BenchmarkPutDevices(b *testing.B) {
	s := newStore(b)
	ids := make([]string, 1000)
	value := make([]byte, 1000)
	for i := range ids {
		ids[i], _ = sampleDevice(i)
	}
	put := func(ids []string) {
		update(b, s, func(tx *Tx) error {
			for _, id := range ids {
				if err := tx.PutDevice(id, value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	put(ids)
	b.Run("1 of 1000", func(b *testing.B) {
		for b.Loop() {
			put(ids[500:501])
		}
	})
	b.Run("1000 of 1000", func(b *testing.B) {
		for b.Loop() {
			put(ids)
		}
	})
}
