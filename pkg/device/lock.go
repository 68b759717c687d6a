package device

import (
	"math"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/doorlock"
	"github.com/opcredsd/opcredsd/pkg/cluster/valve"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var lockKinds = map[string]kind{
	"door_lock":   {datamodel.DeviceTypeDoorLock, buildLock},
	"water_valve": {datamodel.DeviceTypeWaterValve, buildValve},
}

// lockStates are the states of a lock by name. The unknown state has none.
var lockStates = map[string]datamodel.DoorLockLockState{
	"locked":   datamodel.DoorLockLockStateLocked,
	"unlocked": datamodel.DoorLockLockStateUnlocked,
	"jammed":   datamodel.DoorLockLockStateNotFullyLocked,
}

var lockProperties = []property[doorlock.Lock]{
	{
		Property: Property{Name: "lock", Kind: KindText, Values: []string{"locked", "unlocked", "jammed", "unknown"}, Needed: true},
		get: func(s *doorlock.Lock) Value {
			for name, is := range lockStates {
				if s.State.Valid && s.State.V == is {
					return Text(name)
				}
			}
			return Null
		},
		report: func(c *cluster.Context, s *doorlock.Lock, v Value) {
			// An unknown state changes nothing: Home Assistant does not show a lock
			// without a state.
			name, _ := v.Text()
			if is, ok := lockStates[name]; ok {
				s.ReportState(c, is)
			}
		},
	},
	{
		Property: Property{Name: "door", Kind: KindText, Values: []string{"open", "closed"}},
		get: func(s *doorlock.Lock) Value {
			switch {
			case !s.Door.Valid:
				return Null
			case s.Door.V == datamodel.DoorLockDoorStateDoorClosed:
				return Text("closed")
			}
			return Text("open")
		},
		report: func(c *cluster.Context, s *doorlock.Lock, v Value) {
			switch is, _ := v.Text(); is {
			case "open":
				s.ReportDoor(c, datamodel.DoorLockDoorStateDoorOpen)
			case "closed":
				s.ReportDoor(c, datamodel.DoorLockDoorStateDoorClosed)
			}
		},
	},
}

// buildLock builds a lock, with a door sensor if its first state contains one.
func buildLock(b *builder) error {
	b.Identify = true
	props, features := lockProperties[:1], uint32(0)
	if _, door := b.part.State["door"]; door {
		props, features = lockProperties, datamodel.DoorLockFeatureDoorPositionSensor
	}
	u := addUnit(b.Endpoint, doorlock.Lock{PIN: b.part.Options.PIN}, doorlock.Rules(), props)
	u.Serve(doorlock.Cluster, cluster.Selection{Features: features})
	return nil
}

func buildValve(b *builder) error {
	b.Identify = true
	level := b.part.Options.Level
	u := addUnit(b.Endpoint, valve.New(level), valve.Rules(), valveProperties(level))
	u.Serve(valve.Cluster, valve.Select(level))
	return nil
}

func valveProperties(level bool) []property[valve.Valve] {
	all := []property[valve.Valve]{{
		Property: Property{Name: "open", Kind: KindBool, Settable: true, Slow: valve.OperationTime},
		want:     valve.WantOpen,
		get: func(s *valve.Valve) Value {
			return Bool(s.State.V == datamodel.ValveConfigurationAndControlValveStateOpen)
		},
		wish: func(s *valve.Valve) Value {
			open, ok := s.Wanted()
			if !ok {
				return Null
			}
			return Bool(open)
		},
		report: func(c *cluster.Context, s *valve.Valve, v Value) {
			if is, ok := v.Bool(); ok {
				s.ReportOpen(c, is)
			}
		},
	}}
	if !level {
		return all
	}
	return append(all, property[valve.Valve]{
		Property: Property{Name: "level_percent", Kind: KindNumber, Max: 100, Settable: true, Slow: valve.OperationTime},
		want:     valve.WantOpen,
		get:      func(s *valve.Valve) Value { return percentOf(s.Level) },
		wish: func(s *valve.Valve) Value {
			if s.TargetLevel.Valid && s.TargetLevel.V > 0 {
				return percentOf(s.TargetLevel)
			}
			return Null
		},
		report: func(c *cluster.Context, s *valve.Valve, v Value) {
			if p, ok := v.Number(); ok {
				s.ReportLevel(c, uint8(math.Round(p)))
			}
		},
	})
}

func percentOf(n cluster.Null[uint8]) Value {
	if !n.Valid {
		return Null
	}
	return Number(float64(n.V))
}
