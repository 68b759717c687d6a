// Package link holds the one connection to the MQTT broker: it comes back by itself,
// makes its subscriptions anew after each connect, and hands messages on through a
// bounded queue.
//
//   - MQTT 5 only. A session has no past: clean start, no session kept by the broker,
//     as old commands and states must not be replayed.
//   - Everything is subscribed with QoS 0: at QoS 1 mosquitto's defaults drop what is
//     retained beyond about a thousand messages, without a word to the client.
//     Subscriptions go out one after another, each when what the one before brought has
//     arrived and been taken, so that the broker's own queues do not overflow.
//   - A message of a subscription with Keep is replaced by a newer one of its topic and
//     never lost: if the queue cannot take it, the subscription is made anew later, which
//     brings everything retained again. Of others the oldest of a topic that sends too
//     many goes, and is counted.
package link
