// Package homeassistant reads the discovery messages of Home Assistant: what many
// programs publish of their devices for it, and what is to be read and written then.
//
//   - An entity is known by its unique_id within its device, a device by its first
//     identifier. A topic that is cleared removes its entity, after a time in which the
//     same unique_id brings it back, there or elsewhere.
//   - Messages of one device are gathered until no more come: the entities that belong to
//     it are its parts, and a new set of parts would be another device to controllers.
//   - Settings and diagnostics are not shown, but for batteries. What a template needs
//     that pkg/template does not have leaves its entity out, with the reason.
package homeassistant
