// Package tasmota reads Tasmota by its own discovery: tasmota/discovery/MAC/config and
// sensors, the topics of states, and what it takes as commands.
//
//   - A device is known by its MAC address; names and topics may change.
//   - Several commands go out as one Backlog.
//   - Tasmota keeps no states on the broker: each device is asked for its state and its
//     sensors when it is found, one after another.
package tasmota
