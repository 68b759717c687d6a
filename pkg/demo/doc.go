// Package demo is a source of simulated devices, for people who have a phone but no
// devices yet.
package demo
