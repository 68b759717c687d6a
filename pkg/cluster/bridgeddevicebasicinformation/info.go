package bridgeddevicebasicinformation

import (
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Info describes a device. A zero value is unknown and has no attribute. Lengths
// are in octets of UTF-8.
type Info struct {
	VendorName            string // up to 32
	VendorID              matter.VendorID
	ProductName           string // up to 32
	ProductID             *matter.ProductID
	HardwareVersion       *uint16
	HardwareVersionString string // up to 64
	SoftwareVersion       *uint32
	SoftwareVersionString string // up to 64
	ManufacturingDate     string // YYYYMMDD, and up to 8 octets defined by the vendor
	PartNumber            string // up to 32
	ProductURL            string // up to 256
	ProductLabel          string // up to 64
	SerialNumber          string // up to 32
	Appearance            *Appearance
}

// Appearance is what a device looks like.
type Appearance struct {
	Finish datamodel.BridgedDeviceBasicInformationProductFinish
	Color  *datamodel.BridgedDeviceBasicInformationColor // nil: no single color
}

// attribute connects an attribute with a field of Info.
type attribute struct {
	id    matter.AttributeID
	text  func(i *Info) string // for a string, else nil
	known func(i *Info) bool
	same  func(a, b *Info) bool
	copy  func(to, from *Info)
	write func(i *Info, w *tlv.Writer, t tlv.Tag)
}

// value returns an attribute whose zero value means unknown.
func value[T comparable](id matter.AttributeID, at func(*Info) *T, write func(v T, w *tlv.Writer, t tlv.Tag)) attribute {
	return attribute{
		id:    id,
		known: func(i *Info) bool { var none T; return *at(i) != none },
		same:  func(a, b *Info) bool { return *at(a) == *at(b) },
		copy:  func(to, from *Info) { *at(to) = *at(from) },
		write: func(i *Info, w *tlv.Writer, t tlv.Tag) { write(*at(i), w, t) },
	}
}

func text(id matter.AttributeID, at func(*Info) *string) attribute {
	a := value(id, at, func(v string, w *tlv.Writer, t tlv.Tag) { w.Text(t, v) })
	a.text = func(i *Info) string { return *at(i) }
	return a
}

// pointer returns an attribute that is unknown if it is nil. Pointers to equal
// values are equal.
func pointer[T any](id matter.AttributeID, at func(*Info) **T, write func(v *T, w *tlv.Writer, t tlv.Tag)) attribute {
	a := value(id, at, write)
	a.same = func(a, b *Info) bool { return reflect.DeepEqual(*at(a), *at(b)) }
	return a
}

func number[T ~uint16 | ~uint32](id matter.AttributeID, at func(*Info) **T) attribute {
	return pointer(id, at, func(v *T, w *tlv.Writer, t tlv.Tag) { w.Uint(t, uint64(*v)) })
}

// attributes are those of Info, in ascending order.
var attributes = []attribute{
	text(datamodel.BridgedDeviceBasicInformationAttrVendorName, func(i *Info) *string { return &i.VendorName }),
	value(datamodel.BridgedDeviceBasicInformationAttrVendorID, func(i *Info) *matter.VendorID { return &i.VendorID },
		func(v matter.VendorID, w *tlv.Writer, t tlv.Tag) { w.Uint(t, uint64(v)) }),
	text(datamodel.BridgedDeviceBasicInformationAttrProductName, func(i *Info) *string { return &i.ProductName }),
	number(datamodel.BridgedDeviceBasicInformationAttrProductID, func(i *Info) **matter.ProductID { return &i.ProductID }),
	number(datamodel.BridgedDeviceBasicInformationAttrHardwareVersion, func(i *Info) **uint16 { return &i.HardwareVersion }),
	text(datamodel.BridgedDeviceBasicInformationAttrHardwareVersionString, func(i *Info) *string { return &i.HardwareVersionString }),
	number(datamodel.BridgedDeviceBasicInformationAttrSoftwareVersion, func(i *Info) **uint32 { return &i.SoftwareVersion }),
	text(datamodel.BridgedDeviceBasicInformationAttrSoftwareVersionString, func(i *Info) *string { return &i.SoftwareVersionString }),
	text(datamodel.BridgedDeviceBasicInformationAttrManufacturingDate, func(i *Info) *string { return &i.ManufacturingDate }),
	text(datamodel.BridgedDeviceBasicInformationAttrPartNumber, func(i *Info) *string { return &i.PartNumber }),
	text(datamodel.BridgedDeviceBasicInformationAttrProductURL, func(i *Info) *string { return &i.ProductURL }),
	text(datamodel.BridgedDeviceBasicInformationAttrProductLabel, func(i *Info) *string { return &i.ProductLabel }),
	text(datamodel.BridgedDeviceBasicInformationAttrSerialNumber, func(i *Info) *string { return &i.SerialNumber }),
	pointer(datamodel.BridgedDeviceBasicInformationAttrProductAppearance, func(i *Info) **Appearance { return &i.Appearance }, (*Appearance).write),
}

func (a *Appearance) write(w *tlv.Writer, t tlv.Tag) {
	w.StartStruct(t)
	w.Uint(tlv.Context(0), uint64(a.Finish))
	if a.Color == nil {
		w.Null(tlv.Context(1))
	} else {
		w.Uint(tlv.Context(1), uint64(*a.Color))
	}
	w.End()
}

// check returns an error that names an invalid value.
func (i *Info) check() error {
	for _, a := range attributes {
		if a.text != nil && a.known(i) {
			if err := checkText(a.id, a.text(i)); err != nil {
				return err
			}
		}
	}
	if a := i.Appearance; a != nil {
		fields := datamodel.BridgedDeviceBasicInformation.Attribute(datamodel.BridgedDeviceBasicInformationAttrProductAppearance).Type.Fields
		if !fields[0].Type.Has(uint64(a.Finish)) || a.Color != nil && !fields[1].Type.Has(uint64(*a.Color)) {
			return errors.New("bridged device: ProductAppearance has a finish or color that there is not")
		}
	}
	return nil
}

// checkText checks a string against the limits of its attribute.
func checkText(id matter.AttributeID, s string) error {
	a := datamodel.BridgedDeviceBasicInformation.Attribute(id)
	if n := int64(len(s)); n < a.Limit.Min || n > a.Limit.Max || !utf8.ValidString(s) {
		return fmt.Errorf("bridged device: %s %q is not text of %d to %d octets", a.Name, s, a.Limit.Min, a.Limit.Max)
	}
	return nil
}
