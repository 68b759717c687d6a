// Package link maintains the one connection to the MQTT broker. It reconnects,
// subscribes again after each connect, and passes messages on through a bounded
// queue.
//
//   - MQTT 5 only. Each session is new (clean start, no expiry), since old commands and
//     states must not be replayed.
//   - All subscriptions use QoS 0. At QoS 1, mosquitto with its defaults drops retained
//     messages beyond about a thousand, and the client does not notice.
//     Subscriptions are made one after another, each after the messages of the previous
//     one have arrived and been taken, so that the broker's queues do not overflow.
//   - A message of a subscription with Keep is replaced by a newer one of its topic and
//     is never lost: if the queue is full, the link subscribes again later, and receives
//     everything retained again. For other subscriptions, if a topic sends too many
//     messages, the oldest one is dropped and counted.
package link
