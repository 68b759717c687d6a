package mcrypto

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

type keyVector struct {
	Name                 string
	RootPublicKey        hexBytes `json:"root_public_key"`
	FabricID             string   `json:"fabric_id"`
	CompressedFabricID   hexBytes `json:"compressed_fabric_id"`
	EpochKey             hexBytes `json:"epoch_key"`
	OperationalKey       hexBytes `json:"operational_key"`
	GroupSessionID       hexBytes `json:"group_session_id"`
	GroupSessionComputed hexBytes `json:"group_session_id_computed"`
	PrivacyKey           hexBytes `json:"privacy_key"`
	IPK                  hexBytes `json:"ipk_operational"`
	InitiatorRandom      hexBytes `json:"initiator_random"`
	NodeID               string   `json:"node_id"`
	DestinationID        hexBytes `json:"destination_id"`
}

func TestKeyDerivationVectors(t *testing.T) {
	for _, v := range loadVectors[keyVector](t, "key-derivation.json") {
		switch {
		case v.EpochKey != nil:
			testGroupKey(t, v)
		case v.DestinationID != nil:
			m := hmac.New(sha256.New, v.IPK)
			m.Write(v.InitiatorRandom)
			m.Write(v.RootPublicKey)
			m.Write(binary.LittleEndian.AppendUint64(nil, parseID(t, v.FabricID)))
			m.Write(binary.LittleEndian.AppendUint64(nil, parseID(t, v.NodeID)))
			if got := m.Sum(nil); !bytes.Equal(got, v.DestinationID) {
				t.Errorf("%s: %x, want %x", v.Name, got, v.DestinationID)
			}
		default:
			got, err := CompressedFabricID(v.RootPublicKey, matter.FabricID(parseID(t, v.FabricID)))
			if err != nil || !bytes.Equal(got[:], v.CompressedFabricID) {
				t.Errorf("%s: %x, %v; want %x", v.Name, got, err, v.CompressedFabricID)
			}
		}
	}
}

func parseID(t *testing.T, s string) uint64 {
	t.Helper()
	id, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testGroupKey(t *testing.T, v keyVector) {
	t.Helper()
	k, err := OperationalGroupKey(v.EpochKey, [8]byte(v.CompressedFabricID))
	if err != nil || !bytes.Equal(k[:], v.OperationalKey) {
		t.Errorf("%s: operational key %x, %v; want %x", v.Name, k, err, v.OperationalKey)
	}
	id, err := GroupSessionID(k[:])
	want := append(v.GroupSessionID, v.GroupSessionComputed...)
	if err != nil || !bytes.Equal([]byte{byte(id >> 8), byte(id)}, want) {
		t.Errorf("%s: session id %04x, %v; want %x", v.Name, id, err, want)
	}
	p, err := PrivacyKey(k[:])
	if err != nil || !bytes.Equal(p[:], v.PrivacyKey) {
		t.Errorf("%s: privacy key %x, %v; want %x", v.Name, p, err, v.PrivacyKey)
	}
}

// The standard library's PBKDF2 is the one that Matter uses.
func TestPBKDF2Vectors(t *testing.T) {
	type vector struct {
		Password   string `json:"password_ascii"`
		Salt       string `json:"salt_ascii"`
		Iterations int
		Length     int
		Key        hexBytes
	}
	for _, v := range loadVectors[vector](t, "pbkdf2.json") {
		got, err := pbkdf2.Key(sha256.New, v.Password, []byte(v.Salt), v.Iterations, v.Length)
		if err != nil || !bytes.Equal(got, v.Key) {
			t.Errorf("%q, %d times: %x, %v; want %x", v.Password, v.Iterations, got, err, v.Key)
		}
	}
}

func TestKeyDerivationRefuses(t *testing.T) {
	for _, n := range []int{0, 15, 17} {
		k := make([]byte, n)
		if _, err := OperationalGroupKey(k, [8]byte{}); err == nil {
			t.Errorf("OperationalGroupKey accepted %d octets", n)
		}
		if _, err := GroupSessionID(k); err == nil {
			t.Errorf("GroupSessionID accepted %d octets", n)
		}
		if _, err := PrivacyKey(k); err == nil {
			t.Errorf("PrivacyKey accepted %d octets", n)
		}
	}
	for _, n := range []int{0, 64, 65, 66} {
		if _, err := CompressedFabricID(make([]byte, n), 1); err == nil {
			t.Errorf("CompressedFabricID accepted %d zero octets as root public key", n)
		}
	}
	if err := HKDF(make([]byte, 255*HashSize+1), []byte("key"), nil, "too long"); err == nil {
		t.Error("HKDF filled more than it can")
	}
}
