// Package mqtt brings the devices of an MQTT broker to the bridge: one connection,
// and a reader for each way in which devices are announced.
//
// Everything runs on one goroutine. A bad message affects only what it is about,
// and no message waits for a device.
package mqtt
