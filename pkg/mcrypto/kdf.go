package mcrypto

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// HKDF fills dst with HKDF-SHA256 of the input key, salt and info (section 3.8).
// dst has at most 8160 octets. A nil salt is the same as an empty one.
func HKDF(dst, ikm, salt []byte, info string) error {
	k, err := hkdf.Key(sha256.New, ikm, salt, info, len(dst))
	if err != nil {
		return fmt.Errorf("deriving %s: %w", info, err)
	}
	copy(dst, k)
	clear(k)
	return nil
}

// CompressedFabricID derives the compressed fabric identifier from the root public
// key (65 octets) and the fabric id (section 4.3.2.2). The octets are in the order
// of DNS-SD names.
func CompressedFabricID(rootPublicKey []byte, id matter.FabricID) ([8]byte, error) {
	var c [8]byte
	if err := CheckPublicKey(rootPublicKey); err != nil {
		return c, err
	}
	salt := binary.BigEndian.AppendUint64(nil, uint64(id))
	err := HKDF(c[:], rootPublicKey[1:], salt, "CompressedFabric")
	return c, err
}

// OperationalGroupKey derives the operational key of an epoch key of 16 octets
// (chapter Group Key Management). For group key set 0 it is the operational IPK.
func OperationalGroupKey(epochKey []byte, compressed [8]byte) ([KeySize]byte, error) {
	var k [KeySize]byte
	if len(epochKey) != KeySize {
		return k, fmt.Errorf("an epoch key has %d octets, not %d", KeySize, len(epochKey))
	}
	err := HKDF(k[:], epochKey, compressed[:], "GroupKey v1.0")
	return k, err
}

// GroupSessionID derives the session id of messages with an operational group key
// of 16 octets (chapter Group Key Management).
func GroupSessionID(operationalKey []byte) (uint16, error) {
	var id [2]byte
	if len(operationalKey) != KeySize {
		return 0, fmt.Errorf("a group key has %d octets, not %d", KeySize, len(operationalKey))
	}
	err := HKDF(id[:], operationalKey, nil, "GroupKeyHash")
	return binary.BigEndian.Uint16(id[:]), err
}

// PrivacyKey derives the key for [ObfuscatePrivacy] from an encryption key of
// 16 octets (chapter Message Privacy).
func PrivacyKey(key []byte) ([KeySize]byte, error) {
	var k [KeySize]byte
	if len(key) != KeySize {
		return k, fmt.Errorf("an encryption key has %d octets, not %d", KeySize, len(key))
	}
	err := HKDF(k[:], key, nil, "PrivacyKey")
	return k, err
}
