package main

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"filippo.io/nistec"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// floors are the minimum costs of the operations, in nanoseconds of CPU: only their
// cryptography and system calls.
type floors struct {
	sign, verify, keygen, ecdh, hkdf, aead float64
	echo, echoLarge                        float64 // see echo.go
	write                                  float64 // a page written and synced
	spake2p                                float64
}

// read: two datagrams received and decrypted, one encrypted and sent.
func (f *floors) read() float64 { return f.echo }

// full: the responder's part of CASE: a key pair, a shared secret, its own
// signature, and the verification of the peer's signature and NOC.
func (f *floors) full() float64 {
	return f.keygen + f.ecdh + f.sign + 2*f.verify + 3*f.hkdf + 2*f.aead
}

// resumed: the three keys and two MICs of a resumption.
func (f *floors) resumed() float64 { return 3*f.hkdf + 2*f.aead }

// pase: the verifier's part of SPAKE2+ and the two derivations after it.
func (f *floors) pase() float64 { return f.spake2p + 2*f.hkdf }

// label: a command and its answer, and a page on the disk.
func (f *floors) label() float64 { return f.echo + f.write }

// commissioning: PASE and CASE; AttestationRequest and CSRRequest, which sign twice
// and once more in the CSR, for a new key pair; the verification of a root and a
// NOC; a page on the disk; and seven commands.
func (f *floors) commissioning() float64 {
	return f.pase() + f.full() + 3*f.sign + f.keygen + 2*f.verify + f.write + 7*f.echo
}

// thread returns the CPU time of the calling thread.
func thread() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic("BUG: bench: " + err.Error())
	}
	return time.Duration(t.Nano())
}

// clock returns the CPU time of one call of f: the median of several rounds of n
// calls.
func clock(rounds, n int, f func() error) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all sample
	for range rounds + 1 {
		begin := thread()
		if err := repeat(n, f)(); err != nil {
			return 0, err
		}
		all = append(all, float64(thread()-begin)/float64(n))
	}
	return all[1:].median(), nil
}

// measureFloors measures all floors except the echo. dir is the directory of the
// stores.
func measureFloors(rounds int, dir string) (*floors, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	dh, err := key.ECDH()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte("digest"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	aead, err := mcrypto.NewAEAD(make([]byte, mcrypto.KeySize))
	if err != nil {
		return nil, err
	}
	nonce, buf := make([]byte, mcrypto.NonceSize), make([]byte, 512, 512+mcrypto.MICSize)
	file, err := os.Create(filepath.Join(dir, "floor"))
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	page := make([]byte, os.Getpagesize())

	var f floors
	for _, m := range []struct {
		name string
		to   *float64
		n    int
		f    func() error
	}{
		{"ECDSA sign", &f.sign, 50, func() error {
			_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			return err
		}},
		{"ECDSA verify", &f.verify, 50, func() error {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
				return fmt.Errorf("signature refused")
			}
			return nil
		}},
		{"key pair", &f.keygen, 50, func() error {
			_, err := ecdh.P256().GenerateKey(rand.Reader)
			return err
		}},
		{"ECDH", &f.ecdh, 50, func() error {
			_, err := dh.ECDH(dh.PublicKey())
			return err
		}},
		{"HKDF", &f.hkdf, 200, func() error {
			_, err := hkdf.Key(sha256.New, digest[:], nonce, "SessionKeys", 48)
			return err
		}},
		{"CCM", &f.aead, 200, func() error {
			aead.Seal(buf[:0], nonce, buf, nil)
			return nil
		}},
		{"SPAKE2+", &f.spake2p, 20, spake2p},
		{"write and sync", &f.write, 10, func() error {
			if _, err := file.WriteAt(page, 0); err != nil {
				return err
			}
			return unix.Fdatasync(int(file.Fd()))
		}},
	} {
		if *m.to, err = clock(rounds, m.n, m.f); err != nil {
			return nil, fmt.Errorf("floor: %s: %w", m.name, err)
		}
	}
	return &f, nil
}

// spake2p does the five multiplications of the verifier, with arbitrary points and
// scalars.
func spake2p() error {
	scalar := sha256.Sum256([]byte("scalar"))
	p, err := nistec.NewP256Point().ScalarBaseMult(scalar[:])
	for range 4 {
		if err == nil {
			p, err = nistec.NewP256Point().ScalarMult(p, scalar[:])
		}
	}
	if err != nil {
		return err
	}
	_ = p.Bytes()
	return nil
}
