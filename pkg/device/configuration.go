package device

import (
	"fmt"
	"math"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/booleanstate"
)

// Limits of options.sensitivity_levels (section 1.8.6.2).
const (
	levelsLeast = 2
	levelsMost  = 10
)

// addConfiguration adds what sensors with two states may have besides: a sensitivity
// that controllers set, and a fault.
func (b *builder) addConfiguration() error {
	o := &b.part.Options
	if n := o.SensitivityLevels; n != 0 && (n < levelsLeast || n > levelsMost) {
		return &OptionError{"sensitivity_levels", fmt.Sprintf("%d is not from %d to %d", n, levelsLeast, levelsMost)}
	}
	var props []property[booleanstate.Config]
	if o.SensitivityLevels > 0 {
		props = append(props, property[booleanstate.Config]{
			Property: Property{Name: "sensitivity_level", Kind: KindNumber, Max: float64(o.SensitivityLevels - 1), Settable: true},
			want:     booleanstate.WantLevel,
			get:      func(s *booleanstate.Config) Value { return Number(float64(s.Level)) },
			report: func(_ *cluster.Context, s *booleanstate.Config, v Value) {
				if f, ok := v.Number(); ok {
					s.Level = uint8(math.Round(f))
				}
			},
		})
	}
	faults := b.optional("sensor_fault")
	if faults {
		props = append(props, property[booleanstate.Config]{
			Property: Property{Name: "sensor_fault", Kind: KindBool},
			get:      func(s *booleanstate.Config) Value { return Bool(s.Fault != 0) },
			report: func(c *cluster.Context, s *booleanstate.Config, v Value) {
				if is, ok := v.Bool(); ok {
					s.SetFault(c, is)
				}
			},
		})
	}
	if props == nil {
		return nil
	}
	levels := uint8(o.SensitivityLevels)
	u := addUnit(b.Endpoint, booleanstate.Config{Levels: levels}, booleanstate.ConfigRules(), props)
	u.Serve(booleanstate.Configuration, booleanstate.SelectConfiguration(levels, faults))
	return nil
}
