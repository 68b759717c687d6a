package main

import (
	"crypto/rand"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// dacKeyCredential is the name of the DAC's key as a systemd credential.
const dacKeyCredential = "dac-key"

// maxKeyFile is the maximum size of a file with a key or a certificate.
const maxKeyFile = 1 << 16

func registerDACKey(fl *pflag.FlagSet, file *string) {
	fl.StringVar(file, "dac-key-file", "", "`file` with the DAC's key, if it is not in the store (default: $CREDENTIALS_DIRECTORY/dac-key, if it exists)")
}

// dacKey returns the location of the DAC's key; nil is the store.
func dacKey(file string) *server.DACKey {
	if file != "" {
		return &server.DACKey{Where: file, Open: func() (attestation.Signer, error) { return openKey(file) }}
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil
	}
	file = filepath.Join(dir, dacKeyCredential)
	if _, err := os.Stat(file); err != nil {
		return nil
	}
	return &server.DACKey{Where: "the credential " + dacKeyCredential, Open: func() (attestation.Signer, error) { return openKey(file) }}
}

func openKey(file string) (attestation.Signer, error) {
	b, err := readBounded(file, maxKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	key, err := attestation.DecodeKey(b)
	if err != nil {
		return nil, err
	}
	return attestation.NewSigner(key, rand.Reader), nil
}
