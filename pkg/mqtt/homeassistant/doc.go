// Package homeassistant reads Home Assistant's discovery messages, by which many
// programs announce their devices, and the states and commands that the messages
// describe.
//
//   - An entity is identified by its unique_id within its device, a device by its first
//     identifier. Clearing a discovery topic removes its entity after a grace time. The
//     entity stays if its unique_id is announced again in that time, on any topic.
//   - The reader waits until no more messages of a device arrive before it describes the
//     device. Its entities are its parts, and a new set of parts would be another device
//     to controllers.
//   - Settings and diagnostics are not shown, except batteries. An entity whose template
//     pkg/template does not support is not shown; the reason is reported.
package homeassistant
