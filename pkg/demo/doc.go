// Package demo is a source of simulated devices, for somebody who has a phone and no
// devices yet.
package demo
