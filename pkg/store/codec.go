package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"go.etcd.io/bbolt"
)

// The form of a value has been the same since schema 1, so migrations use this file. A
// schema with another form needs a copy of this file for the earlier ones.

// raw is a transaction that knows values in buckets, and neither schema nor digest.
type raw struct {
	path   string
	b      *bbolt.Tx
	values [][]byte // sealed records: bbolt refers to them until the commit
}

// read decodes one record into v.
func (r *raw) read(bucket, key []byte, v any) (ok bool, err error) {
	value := r.b.Bucket(bucket).Get(key)
	if value == nil {
		return false, nil
	}
	if err := unseal(bucket, key, value, v); err != nil {
		return false, r.unreadable(bucket, key, err)
	}
	return true, nil
}

// write stores a record.
func (r *raw) write(bucket, key []byte, v any) error {
	value, err := seal(bucket, key, v)
	if err != nil {
		return err
	}
	r.values = append(r.values, value)
	return r.b.Bucket(bucket).Put(key, value)
}

// unreadable returns the error for a record that cannot be decoded.
func (r *raw) unreadable(bucket, key []byte, err error) error {
	what := fmt.Sprintf("%s %x: %v", bucket, key, err)
	if errors.Is(err, errMember) {
		return newer(r.path, what)
	}
	return damaged(r.path, what)
}

// wipe clears the records, which hold private keys.
func (r *raw) wipe() {
	for _, v := range r.values {
		clear(v)
	}
	r.values = nil
}

// hash returns a hash of a record with its bucket and key. Two changes must not cancel
// each other out in the sum of all hashes, as they could with a checksum.
func hash(bucket, key, value []byte) uint64 {
	h := sha256.New()
	for _, part := range [][]byte{bucket, key} {
		h.Write([]byte{byte(len(part))})
		h.Write(part)
	}
	h.Write(value)
	var sum [sha256.Size]byte
	return binary.BigEndian.Uint64(h.Sum(sum[:0]))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumSize is the length of the checksum and the space behind it.
const sumSize = 9

// sum returns the checksum of a record. It covers bucket and key, so that a value under
// the wrong key does not match.
func sum(bucket, key, text []byte) uint32 {
	c := crc32.Update(0, castagnoli, bucket)
	c = crc32.Update(c, castagnoli, []byte{'/'})
	c = crc32.Update(c, castagnoli, key)
	c = crc32.Update(c, castagnoli, []byte{'/'})
	return crc32.Update(c, castagnoli, text)
}

// seal returns the stored form of v.
func seal(bucket, key []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	defer clear(text)
	return sealText(bucket, key, text), nil
}

// sealText returns the stored form of a record that is already encoded.
func sealText(bucket, key, text []byte) []byte {
	value := make([]byte, sumSize, sumSize+len(text))
	c := sum(bucket, key, text)
	hex.Encode(value, []byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)})
	value[sumSize-1] = ' '
	return append(value, text...)
}

var errChecksum = errors.New("checksum does not match")

// unseal decodes the stored form into v, a pointer to a zero record. v does not refer
// to value. Errors do not quote the text, which may hold keys.
func unseal(bucket, key, value []byte, v any) error {
	text, err := unsealText(bucket, key, value)
	if err != nil {
		return err
	}
	return decode(text, v)
}

// unsealText returns the text of a stored form. It refers to value.
func unsealText(bucket, key, value []byte) (text []byte, err error) {
	if len(value) < sumSize || value[sumSize-1] != ' ' {
		return nil, errChecksum
	}
	var c [4]byte
	if _, err := hex.Decode(c[:], value[:sumSize-1]); err != nil {
		return nil, errChecksum
	}
	text = value[sumSize:]
	if sum(bucket, key, text) != binary.BigEndian.Uint32(c[:]) {
		return nil, errChecksum
	}
	return text, nil
}

var (
	errRecord = errors.New("record cannot be read")
	errMember = errors.New("record has a member that this version does not know")
)

// decode decodes a record. Unknown members are errors, as the next write would lose
// them.
func decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if json.Unmarshal(text, v) == nil {
			return errMember
		}
		return errRecord
	}
	if _, err := d.Token(); err != io.EOF {
		return errRecord
	}
	return nil
}
