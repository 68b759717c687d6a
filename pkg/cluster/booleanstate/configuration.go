package booleanstate

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// WantLevel is the bit of [cluster.Context.Want] for the sensitivity.
const WantLevel uint32 = 1

// Config is the state of Boolean State Configuration: the settings and the health of a
// sensor with two states.
type Config struct {
	Levels uint8 // number of levels of sensitivity, 2 to 10; never changes
	Level  uint8 // from 0, the least sensitive
	Fault  datamodel.BooleanStateConfigurationSensorFault
}

// Configuration is the Boolean State Configuration cluster, 0x0080 revision 2 (section
// 1.8), without alarms, which sensors of other networks do not have.
var Configuration = cluster.Define(cluster.Def[Config]{
	Facts: datamodel.BooleanStateConfiguration,
	Attributes: []cluster.Attribute[Config]{
		cluster.Uint(datamodel.BooleanStateConfigurationAttrCurrentSensitivityLevel, func(s *Config) *uint8 { return &s.Level }).Check(checkLevel),
		cluster.Uint(datamodel.BooleanStateConfigurationAttrSupportedSensitivityLevels, func(s *Config) *uint8 { return &s.Levels }),
		cluster.Uint(datamodel.BooleanStateConfigurationAttrSensorFault, func(s *Config) *datamodel.BooleanStateConfigurationSensorFault { return &s.Fault }),
	},
})

// SelectConfiguration returns the features and attributes for a sensor with levels of
// sensitivity, or 0, that may report a fault.
func SelectConfiguration(levels uint8, faults bool) (sel cluster.Selection) {
	if levels > 0 {
		sel.Features = datamodel.BooleanStateConfigurationFeatureSensitivityLevel
	}
	if faults {
		sel.Features |= datamodel.BooleanStateConfigurationFeatureFaultEvents
		sel.Attributes = []matter.AttributeID{datamodel.BooleanStateConfigurationAttrSensorFault}
	}
	return sel
}

// ConfigRules returns the rules for the configuration.
func ConfigRules() cluster.Rules[Config] {
	return cluster.Rules[Config]{Restored: func(s *Config) { s.Level = min(s.Level, max(s.Levels, 1)-1) }}
}

// checkLevel rejects a level that the sensor does not have (section 1.8.6.1).
func checkLevel(c *cluster.Context, _, is *Config) error {
	if is.Level >= is.Levels {
		return matter.StatusConstraintError
	}
	c.Want(WantLevel)
	return nil
}

// SetFault sets whether the sensor has a fault. A change is an event (section 1.8.8.2).
func (s *Config) SetFault(c *cluster.Context, faulty bool) {
	var is datamodel.BooleanStateConfigurationSensorFault
	if faulty {
		is = datamodel.BooleanStateConfigurationSensorFaultGeneralFault
	}
	if is == s.Fault {
		return
	}
	s.Fault = is
	c.EmitNumber(datamodel.BooleanStateConfigurationID, datamodel.BooleanStateConfigurationEventSensorFault, uint64(is))
}
