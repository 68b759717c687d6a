// Package device is the library of device types that a bridge can show: their
// Matter device types, and the properties with which sources describe their state,
// with units.
package device
