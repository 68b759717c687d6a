package store

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumSize is the length of the checksum and the space behind it.
const sumSize = 9

// sum covers the place as well as the text, so that a value that turns up under
// another key is noticed.
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
	value := make([]byte, sumSize, sumSize+len(text))
	c := sum(bucket, key, text)
	hex.Encode(value, []byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)})
	value[sumSize-1] = ' '
	return append(value, text...), nil
}

var errChecksum = errors.New("checksum does not match")

// unseal decodes the stored form into v, a pointer to a zero record. Nothing of
// v refers to value. Its errors never quote the text, which may hold keys.
func unseal(bucket, key, value []byte, v any) error {
	if len(value) < sumSize || value[sumSize-1] != ' ' {
		return errChecksum
	}
	var c [4]byte
	if _, err := hex.Decode(c[:], value[:sumSize-1]); err != nil {
		return errChecksum
	}
	text := value[sumSize:]
	if sum(bucket, key, text) != uint32(c[0])<<24|uint32(c[1])<<16|uint32(c[2])<<8|uint32(c[3]) {
		return errChecksum
	}
	return decode(text, v)
}

var errRecord = errors.New("record cannot be read")

// decode is strict: a member that this schema does not know would be lost at
// the next write.
func decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errRecord
	}
	if _, err := d.Token(); err != io.EOF {
		return errRecord
	}
	return nil
}
