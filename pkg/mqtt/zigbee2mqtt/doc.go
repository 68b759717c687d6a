// Package zigbee2mqtt reads the topics that zigbee2mqtt publishes of its own accord,
// with its Home Assistant extension off: bridge/devices, bridge/groups, bridge/state,
// availability and the topic of each device.
//
//   - A device is known by its IEEE address, a group by its number: a new name is the
//     same device.
//   - What a device is comes from its exposes. Names decide what Matter has a type for,
//     in the table of rules.go; what is not in it is left out and says why.
//   - A property that is null or missing in a state is one that has not changed, and a
//     state in which nothing has changed is no news.
//   - An action counts only if the message is none that the broker had retained.
package zigbee2mqtt
