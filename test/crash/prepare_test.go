//go:build crash

package crash

import (
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// oldSchema is the name, without suffix, of a database with an older schema and of
// the file that describes it.
func oldSchema(version int) string { return fmt.Sprintf("../../pkg/store/testdata/schema%d", version) }

// placeOld creates the base from such a database.
func placeOld(version int) func(*base) error {
	return func(b *base) error {
		dir := filepath.Join(b.home, stateName)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		for _, name := range []string{store.FileName, store.FileName + ".initialised"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				return err
			}
		}
		return writeOld(b, version, filepath.Join(dir, store.FileName))
	}
}

// backUpSchema1 uses a database of schema 1 as the backup.
func backUpSchema1(b *base) (err error) {
	whole := b.home + ".old"
	if err := writeOld(b, 1, whole); err != nil {
		return err
	}
	if b.restored, err = readFile(whole, store.Options{ReadOnly: true}); err != nil {
		return err
	}
	b.restored.schema = store.SchemaVersion
	st, err := store.Open(whole, store.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	b.backup = b.home + ".backup"
	f, err := os.OpenFile(b.backup, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return errors.Join(err, st.Close())
	}
	return errors.Join(st.Backup(f), f.Close(), st.Close())
}

// writeOld writes a database of an older schema and adds the members of its
// fabrics.
func writeOld(b *base, version int, name string) error {
	var saved struct {
		Fabrics []struct {
			Index     matter.FabricIndex
			Node      matter.NodeID
			Authority commissioner.SavedAuthority
		}
	}
	text, err := os.ReadFile(oldSchema(version) + ".json")
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil {
		return err
	}
	for _, f := range saved.Fabrics {
		a, err := f.Authority.Authority()
		if err != nil {
			return err
		}
		b.members = append(b.members, member{a, f.Node, f.Index})
	}
	f, err := os.Open(oldSchema(version) + ".db.gz")
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(z)
	if err != nil {
		return err
	}
	return writeSparse(name, data)
}

// makeMaterial creates attestation material and its files.
func makeMaterial(b *base) (err error) {
	m, err := attestation.Generate(rand.Reader, 0xFFF1, 0x8001, time.Now())
	if err != nil {
		return err
	}
	key, err := mcrypto.ParsePrivateKey(m.Key)
	if err != nil {
		return err
	}
	text, err := attestation.EncodeKey(key)
	if err != nil {
		return err
	}
	b.material = m
	for ending, data := range map[string][]byte{"dac": m.DAC, "pai": m.PAI, "cd": m.CD, "key": text} {
		err = errors.Join(err, os.WriteFile(b.home+"."+ending, data, 0o600))
	}
	return err
}

// importFlags returns the flags with the files of the material.
func (b *base) importFlags() string {
	return fmt.Sprintf("--dac %[1]s.dac --pai %[1]s.pai --cd %[1]s.cd --key %[1]s.key", b.home)
}
