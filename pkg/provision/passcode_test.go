package provision

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	"testing"
)

// forbidden are the passcodes that a device must not use (section 5.1.7.1). Longer
// lists contain some of them twice.
var forbidden = []uint32{
	0, 11111111, 22222222, 33333333, 44444444, 55555555, 66666666, 77777777, 88888888, 99999999, 12345678, 87654321,
}

// fixed is a random source that returns its numbers first.
type fixed []uint32

func (f *fixed) Read(b []byte) (int, error) {
	if len(*f) == 0 || len(b) != 4 {
		return rand.Read(b)
	}
	binary.BigEndian.PutUint32(b, (*f)[0])
	*f = (*f)[1:]
	return 4, nil
}

// A trivial passcode or one out of range is drawn again. Any other is used.
func TestForbiddenPasscodesAreNeverDrawn(t *testing.T) {
	const good = 20202021
	draws := fixed{100000000, 1<<27 - 1}
	draws = append(draws, forbidden...)
	for _, v := range forbidden {
		draws = append(draws, v|1<<27, v|0xF0000000) // the upper bits do not matter
	}
	n := len(draws)
	draws = append(draws, good)
	got, err := randomPasscode(&draws)
	if err != nil || got != good {
		t.Errorf("%08d, %v, after %d that are not allowed", got, err, n)
	}
	banned := map[uint32]bool{}
	for _, v := range forbidden {
		banned[v] = true
	}
	var buckets [10]int
	for range 100000 {
		v, err := randomPasscode(rand.Reader)
		if err != nil || v < 1 || v > 99999998 || banned[v] {
			t.Fatalf("%08d, %v", v, err)
		}
		buckets[v/10_000_000]++
	}
	for i, n := range buckets {
		if n < 9000 || n > 11000 { // ten standard deviations
			t.Errorf("%d of 100000 begin with %d", n, i)
		}
	}
	if _, err := randomPasscode(io.LimitReader(rand.Reader, 0)); err == nil {
		t.Error("a passcode without randomness")
	}
}
