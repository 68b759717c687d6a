// Package tasmota reads Tasmota's own discovery: tasmota/discovery/MAC/config and
// sensors, the topics of states, and the commands.
//
//   - A device is identified by its MAC address. Names and topics may change.
//   - Several commands are sent as one Backlog.
//   - Tasmota does not retain states. The reader requests the state and the sensors of
//     each device when it finds it, one device after another.
package tasmota
