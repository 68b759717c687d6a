package admin

import (
	"encoding/json"
	"testing"
	"time"
)

// Scripts read these forms. A change is a breaking change and must be in
// CHANGELOG.md.
func TestJSONForms(t *testing.T) {
	end := time.Date(2046, 11, 23, 6, 0, 0, 0, time.UTC)
	p := Pairing{QR: "MT:Y", Manual: "34970112332", Discriminator: 3840, Passcode: 20202021}
	f := Fabric{
		Index: 1, FabricID: "00000000000000FA", NodeID: "000000000000DE01", VendorID: 0xFFF1, Label: "Home",
		RootPublicKey: "04ab", CompressedFabricID: "87E1B004E235A130",
	}
	dated := f
	dated.NOCNotAfter, dated.Added = &end, &end
	for _, tc := range []struct {
		v    any
		want string
	}{
		{p, `{"qr":"MT:Y","manual":"34970112332","discriminator":3840,"passcode":20202021}`},
		{Window{p, end}, `{"qr":"MT:Y","manual":"34970112332","discriminator":3840,"passcode":20202021,"closes":"2046-11-23T06:00:00Z"}`},
		{[]Fabric{f}, `[{"index":1,"fabric_id":"00000000000000FA","node_id":"000000000000DE01","vendor_id":65521,"label":"Home","root_public_key":"04ab","compressed_fabric_id":"87E1B004E235A130","noc_not_after":null,"added":null}]`},
		{dated, `{"index":1,"fabric_id":"00000000000000FA","node_id":"000000000000DE01","vendor_id":65521,"label":"Home","root_public_key":"04ab","compressed_fabric_id":"87E1B004E235A130","noc_not_after":"2046-11-23T06:00:00Z","added":"2046-11-23T06:00:00Z"}`},
		{FabricStatus{Fabric: f, Sessions: 2}, `{"index":1,"fabric_id":"00000000000000FA","node_id":"000000000000DE01","vendor_id":65521,"label":"Home","root_public_key":"04ab","compressed_fabric_id":"87E1B004E235A130","noc_not_after":null,"added":null,"noc_not_before":null,"sessions":2,"subscriptions":0,"subscriptions_interrupted":0,"last_heard":null}`},
	} {
		if got, err := json.Marshal(tc.v); err != nil || string(got) != tc.want {
			t.Errorf("%T: %v\n%s, want\n%s", tc.v, err, got, tc.want)
		}
	}
}
