package conformance

import (
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// TestAttribute checks that invalid values are found.
func TestAttribute(t *testing.T) {
	number := func(n uint64) func(w *tlv.Writer) { return func(w *tlv.Writer) { w.Uint(tlv.Anonymous, n) } }
	signed := func(n int64) func(w *tlv.Writer) { return func(w *tlv.Writer) { w.Int(tlv.Anonymous, n) } }
	text := func(s string) func(w *tlv.Writer) { return func(w *tlv.Writer) { w.Text(tlv.Anonymous, s) } }
	null := func(w *tlv.Writer) { w.Null(tlv.Anonymous) }
	structure := func(fields ...uint8) func(w *tlv.Writer) {
		return func(w *tlv.Writer) {
			w.StartStruct(tlv.Anonymous)
			for _, f := range fields {
				w.Uint(tlv.Context(f), 9)
			}
			w.End()
		}
	}
	list := func(entries ...func(w *tlv.Writer)) func(w *tlv.Writer) {
		return func(w *tlv.Writer) {
			w.StartArray(tlv.Anonymous)
			for _, e := range entries {
				e(w)
			}
			w.End()
		}
	}
	for _, tt := range []struct {
		name  string
		facts *datamodel.Cluster
		id    matter.AttributeID
		write func(w *tlv.Writer)
		want  string
	}{
		{"bool", datamodel.OnOff, datamodel.OnOffAttrOnOff, func(w *tlv.Writer) { w.Bool(tlv.Anonymous, true) }, ""},
		{"no bool", datamodel.OnOff, datamodel.OnOffAttrOnOff, number(1), "OnOff of On/Off"},
		{"null where it may be", datamodel.OnOff, datamodel.OnOffAttrStartUpOnOff, null, ""},
		{"null where it may not be", datamodel.OnOff, datamodel.OnOffAttrOnOff, null, "null"},
		{"enum", datamodel.OnOff, datamodel.OnOffAttrStartUpOnOff, number(2), ""},
		{"no value of the enum", datamodel.OnOff, datamodel.OnOffAttrStartUpOnOff, number(3), "3 is not of type StartUpOnOffEnum"},
		{"bitmap", datamodel.LevelControl, datamodel.LevelControlAttrOptions, number(3), ""},
		{"no bit of the bitmap", datamodel.LevelControl, datamodel.LevelControlAttrOptions, number(4), "4 is not of type OptionsBitmap"},
		{"inverted bitmap", datamodel.DoorLock, datamodel.DoorLockAttrSupportedOperatingModes, number(0xFFF6), ""},
		{"inverted bitmap with all", datamodel.DoorLock, datamodel.DoorLockAttrSupportedOperatingModes, number(0), "0x0"},
		{"the value that is null elsewhere", datamodel.LevelControl, datamodel.LevelControlAttrCurrentLevel, number(255), "255 is not of type uint8"},
		{"too great for its type", datamodel.LevelControl, datamodel.LevelControlAttrMaxLevel, number(256), "256 is not of type uint8"},
		{"over the limit", datamodel.LevelControl, datamodel.LevelControlAttrMaxLevel, number(255), `255 is not within "MinLevel to 254"`},
		{"signed", datamodel.TemperatureMeasurement, datamodel.TemperatureMeasurementAttrMeasuredValue, signed(-4000), ""},
		{"signed, null elsewhere", datamodel.TemperatureMeasurement, datamodel.TemperatureMeasurementAttrMeasuredValue, signed(-32768), "-32768 is not of type"},
		{"below absolute zero", datamodel.TemperatureMeasurement, datamodel.TemperatureMeasurementAttrMinMeasuredValue, signed(-27316), "is not within"},
		{"text", datamodel.BasicInformation, datamodel.BasicInformationAttrNodeLabel, text("x"), ""},
		{"long text", datamodel.BasicInformation, datamodel.BasicInformationAttrNodeLabel, text(strings.Repeat("x", 33)), "33 is not within"},
		{"no text", datamodel.BasicInformation, datamodel.BasicInformationAttrNodeLabel, text("\xFF"), "not UTF-8"},
		{"list", datamodel.Descriptor, datamodel.DescriptorAttrServerList, list(number(3), number(29)), ""},
		{"an entry", datamodel.Descriptor, datamodel.DescriptorAttrServerList, list(number(3), text("x")), "[1]"},
		{"no entries", datamodel.Descriptor, datamodel.DescriptorAttrDeviceTypeList, list(), "0 is not within"},
		{"structure", datamodel.Descriptor, datamodel.DescriptorAttrDeviceTypeList, list(structure(0, 1)), ""},
		{"a field that is missing", datamodel.Descriptor, datamodel.DescriptorAttrDeviceTypeList, list(structure(0)), "DeviceTypeStruct has no Revision"},
		{"a field that there is not", datamodel.Descriptor, datamodel.DescriptorAttrDeviceTypeList, list(structure(0, 1, 7)), "has no field 7"},
		{"minima", datamodel.BasicInformation, datamodel.BasicInformationAttrCapabilityMinima, structure(0, 1, 2, 3, 4, 5), ""},
		{"minima of revision 5", datamodel.BasicInformation, datamodel.BasicInformationAttrCapabilityMinima, structure(0, 1), "SimultaneousInvocationsSupported, conformance rev >= 6"},
		{"no fabric index", datamodel.OperationalCredentials, datamodel.OperationalCredentialsAttrNOCs, list(structure()), "NOCStruct"},
		{"unknown", datamodel.OnOff, 0x77, null, "no facts of attribute 0x0077"},
	} {
		var w tlv.Writer
		tt.write(&w)
		err := Attribute(cluster.NewSpec(tt.facts, cluster.Selection{}), tt.id, tlv.NewReader(w.Bytes()))
		check(t, tt.name, []error{err}, tt.want)
	}
}
