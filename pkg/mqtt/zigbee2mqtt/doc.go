// Package zigbee2mqtt reads the native topics of zigbee2mqtt: bridge/devices,
// bridge/groups, bridge/state, availability and the topic of each device.
// zigbee2mqtt's Home Assistant extension is not needed.
//
//   - A device is identified by its IEEE address, a group by its number. Renaming does
//     not change the device.
//   - The exposes of a device determine what it is shown as. The table in rules.go maps
//     their names to Matter's types; any other expose is left out, with a reason.
//   - A property that is null or missing in a state has not changed. A state without
//     changes is ignored.
//   - Retained actions are ignored.
package zigbee2mqtt
