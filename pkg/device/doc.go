// Package device is the library of device types that a bridge can show: what each is
// in Matter, and the properties through which every source speaks to it, with their
// units.
package device
