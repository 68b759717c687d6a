package device

import (
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/lighting"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

var lightKinds = map[string]kind{
	"on_off_light":                  {datamodel.DeviceTypeOnOffLight, buildOnOff},
	"on_off_plug":                   {datamodel.DeviceTypeOnOffPlugInUnit, buildOnOff},
	"mounted_on_off_control":        {datamodel.DeviceTypeMountedOnOffControl, mounted(datamodel.DeviceTypeOnOffPlugInUnit, buildOnOff)},
	"dimmable_light":                {datamodel.DeviceTypeDimmableLight, buildDimmable},
	"dimmable_plug":                 {datamodel.DeviceTypeDimmablePlugInUnit, buildDimmable},
	"mounted_dimmable_load_control": {datamodel.DeviceTypeMountedDimmableLoadControl, mounted(datamodel.DeviceTypeDimmablePlugInUnit, buildDimmable)},
	"color_temperature_light":       {datamodel.DeviceTypeColorTemperatureLight, buildColorTemperature},
	"extended_color_light":          {datamodel.DeviceTypeExtendedColorLight, buildExtendedColor},
}

type lightProperty = property[lighting.Light]

// mounted returns a build function for a load that is mounted on a wall. The
// corresponding plug comes first in its device types, as few ecosystems support the
// mounted types, and none shows them differently.
func mounted(plug matter.DeviceTypeID, build func(*builder) error) func(*builder) error {
	return func(b *builder) error {
		b.addType(plug)
		slices.Reverse(b.Types)
		return build(b)
	}
}

func buildOnOff(b *builder) error {
	buildLight(b, lighting.Model{}, onProperty)
	return nil
}

func buildDimmable(b *builder) error {
	buildLight(b, lighting.Model{Dims: true}, onProperty, brightnessProperty)
	return nil
}

func buildColorTemperature(b *builder) error {
	m := lighting.Model{Dims: true, Features: datamodel.ColorControlFeatureColorTemperature}
	temperature, err := temperatureProperty(&b.part.Options, &m)
	if err != nil {
		return err
	}
	buildLight(b, m, onProperty, brightnessProperty, temperature)
	return nil
}

// buildExtendedColor offers all color models to controllers, as ecosystems prefer
// different ones, and converts to those that the source supports.
func buildExtendedColor(b *builder) error {
	m := lighting.Model{Dims: true, Features: datamodel.ColorControlFeatureHueSaturation | datamodel.ColorControlFeatureXY | datamodel.ColorControlFeatureColorTemperature}
	temperature, err := temperatureProperty(&b.part.Options, &m)
	if err != nil {
		return err
	}
	for _, mode := range b.part.Options.ColorModes {
		switch mode {
		case "hs":
			m.HueSaturation = true
		case "xy":
			m.XY = true
		case "loop":
			m.Features |= datamodel.ColorControlFeatureEnhancedHue | datamodel.ColorControlFeatureColorLoop
		default:
			return &OptionError{"color_modes", fmt.Sprintf("%q is not one of hs, xy, loop", mode)}
		}
	}
	if !m.HueSaturation && !m.XY {
		m.HueSaturation, m.XY = true, true
	}
	props := []lightProperty{onProperty, brightnessProperty, temperature}
	modes := []string{"hs", "xy", "temperature"}
	if m.HueSaturation {
		props = append(props, hueProperty, saturationProperty)
	}
	if m.XY {
		props = append(props, xProperty, yProperty)
	}
	buildLight(b, m, append(props, modeProperty(modes))...)
	return nil
}

// buildLight builds the endpoint of a light or a plug.
func buildLight(b *builder, m lighting.Model, props ...lightProperty) {
	b.Identify, b.Groups, b.Scenes = true, true, true
	b.IdentifyType = uint8(datamodel.IdentifyIdentifyTypeVisibleIndicator)
	if !isPlug(b.Types[0].ID) {
		b.IdentifyType = uint8(datamodel.IdentifyIdentifyTypeLightOutput)
	}
	u := addUnit(b.Endpoint, lighting.New(m), lighting.Rules(), props)
	u.Serve(lighting.OnOff, cluster.Selection{Features: datamodel.OnOffFeatureLighting})
	if m.Dims {
		u.Serve(lighting.LevelControl, cluster.Selection{
			Features: datamodel.LevelControlFeatureOnOff | datamodel.LevelControlFeatureLighting,
			Attributes: []matter.AttributeID{
				datamodel.LevelControlAttrOnOffTransitionTime, datamodel.LevelControlAttrOnTransitionTime,
				datamodel.LevelControlAttrOffTransitionTime, datamodel.LevelControlAttrDefaultMoveRate,
			},
		})
	}
	if m.Features != 0 {
		u.Serve(lighting.ColorControl, cluster.Selection{
			Features:   m.Features,
			Attributes: []matter.AttributeID{datamodel.ColorControlAttrRemainingTime},
		})
	}
}

// isPlug reports whether a type switches an unknown load, which may not be a light.
func isPlug(id matter.DeviceTypeID) bool {
	return id == datamodel.DeviceTypeOnOffPlugInUnit || id == datamodel.DeviceTypeDimmablePlugInUnit
}

var onProperty = lightProperty{
	Property: Property{Name: "on", Kind: KindBool, Settable: true},
	want:     lighting.WantOn, asked: true,
	get:  func(s *lighting.Light) Value { return Bool(s.Switch.On) },
	wish: func(s *lighting.Light) Value { return Bool(s.WantedOn()) },
	report: func(c *cluster.Context, s *lighting.Light, v Value) {
		if on, ok := v.Bool(); ok {
			s.ReportOn(c, on)
		}
	},
}

var brightnessProperty = lightProperty{
	Property: Property{Name: "brightness_percent", Kind: KindNumber, Max: 100, Above: true, Settable: true, OnlyOn: true},
	want:     lighting.WantLevel, asked: true,
	get:  func(s *lighting.Light) Value { return Number(brightnessOf(s.Level.Current.V)) },
	wish: func(s *lighting.Light) Value { return Number(brightnessOf(s.WantedLevel())) },
	report: func(c *cluster.Context, s *lighting.Light, v Value) {
		if f, ok := v.Number(); ok {
			s.ReportLevel(c, max(brightnessLevel(f), lighting.MinLevel))
		}
	},
}

// colored returns a property for one number of a color.
func colored(name string, top float64, want uint32, of func(t *lighting.Tint) float64, hear func(s *lighting.Light, v float64, known *lighting.Tint)) lightProperty {
	return lightProperty{
		Property: Property{Name: name, Kind: KindNumber, Max: top, Settable: true, OnlyOn: true, Group: "color"},
		want:     want, asked: true,
		get:  func(s *lighting.Light) Value { return Number(of(&s.Color.Tint)) },
		wish: func(s *lighting.Light) Value { return Number(of(s.WantedColor())) },
		report: func(_ *cluster.Context, s *lighting.Light, v Value) {
			if f, ok := v.Number(); ok {
				hear(s, f, knownTint(s, of, f))
			}
		},
	}
}

var (
	hueProperty = colored("hue_degrees", 360, lighting.WantHueSaturation,
		func(t *lighting.Tint) float64 { return degreesOf(t.EnhancedHue) },
		func(s *lighting.Light, v float64, known *lighting.Tint) {
			s.HearHue(pick(known, func(t *lighting.Tint) uint16 { return t.EnhancedHue }, hueOf(v)))
		})
	saturationProperty = colored("saturation_percent", 100, lighting.WantHueSaturation,
		func(t *lighting.Tint) float64 { return brightnessOf(t.Saturation) },
		func(s *lighting.Light, v float64, known *lighting.Tint) {
			s.HearSaturation(pick(known, func(t *lighting.Tint) uint8 { return t.Saturation }, brightnessLevel(v)))
		})
	xProperty = colored("color_x", topXY, lighting.WantXY,
		func(t *lighting.Tint) float64 { return coordinateOf(t.X) },
		func(s *lighting.Light, v float64, known *lighting.Tint) {
			s.HearX(pick(known, func(t *lighting.Tint) uint16 { return t.X }, fixedOf(v)))
		})
	yProperty = colored("color_y", topXY, lighting.WantXY,
		func(t *lighting.Tint) float64 { return coordinateOf(t.Y) },
		func(s *lighting.Light, v float64, known *lighting.Tint) {
			s.HearY(pick(known, func(t *lighting.Tint) uint16 { return t.Y }, fixedOf(v)))
		})
)

// Limits of the options min_kelvin and max_kelvin.
const (
	minKelvin = 1000  // SmartThings accepts no color temperature above 1000 mireds
	maxKelvin = 14925 // or below 67
)

// temperatureProperty reads the options min_kelvin and max_kelvin and returns
// color_temperature_kelvin for that range.
func temperatureProperty(o *Options, m *lighting.Model) (p lightProperty, err error) {
	low, high := o.MinKelvin, o.MaxKelvin
	if low == 0 {
		low = 2000
	}
	if high == 0 {
		high = 6535
	}
	switch {
	case !(low >= minKelvin && low <= maxKelvin):
		return p, &OptionError{"min_kelvin", fmt.Sprintf("%v is not a number from %d to %d", low, minKelvin, maxKelvin)}
	case !(high >= minKelvin && high <= maxKelvin):
		return p, &OptionError{"max_kelvin", fmt.Sprintf("%v is not a number from %d to %d", high, minKelvin, maxKelvin)}
	case low >= high:
		return p, &OptionError{"max_kelvin", fmt.Sprintf("%v is not above min_kelvin, %v", high, low)}
	}
	m.MinMireds, m.MaxMireds = miredsOf(high), miredsOf(low)
	p = colored("color_temperature_kelvin", high, lighting.WantTemperature,
		func(t *lighting.Tint) float64 { return kelvinOf(t.Mireds, low, high) },
		func(s *lighting.Light, v float64, known *lighting.Tint) {
			s.HearMireds(pick(known, func(t *lighting.Tint) uint16 { return t.Mireds }, miredsOf(v)))
		})
	p.Min = low
	return p, nil
}

// knownTint returns the color that a source repeats, nil if it reports another one: the one
// that it was sent, which it repeats during a fade too, or the one that is shown.
func knownTint(s *lighting.Light, of func(t *lighting.Tint) float64, v float64) *lighting.Tint {
	for _, t := range []*lighting.Tint{s.WantedColor(), &s.Color.Tint} {
		if of(t) == v {
			return t
		}
	}
	return nil
}

// pick returns the value of a known color, so that rounding causes no change, or else
// what was heard.
func pick[T any](known *lighting.Tint, at func(*lighting.Tint) T, heard T) T {
	if known != nil {
		return at(known)
	}
	return heard
}

// modeProperty returns color_mode: the property that determines the color. modes
// are in the order of ColorModeEnum.
func modeProperty(modes []string) lightProperty {
	return lightProperty{
		Property: Property{Name: "color_mode", Kind: KindText, Values: modes, Group: "color"},
		get:      func(s *lighting.Light) Value { return Text(modes[s.Color.Mode]) },
		report: func(_ *cluster.Context, s *lighting.Light, v Value) {
			if name, ok := v.Text(); ok {
				s.HearMode(datamodel.ColorControlColorMode(slices.Index(modes, name)))
			}
		},
	}
}
