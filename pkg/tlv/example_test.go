package tlv_test

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// A structure is written and read. Errors are checked once, at the end.
func Example() {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(0), 3840)
	w.Text(tlv.Context(1), "Home")
	w.End()
	b := w.Bytes()
	fmt.Printf("%x\n", b)

	var number uint16
	var label string
	r := tlv.NewReader(b)
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 0:
			number = r.Uint16()
		case 1:
			label = r.Text()
		}
	}
	fmt.Println(number, label, r.End())
	// Output:
	// 152500000f2c0104486f6d6518
	// 3840 Home <nil>
}
