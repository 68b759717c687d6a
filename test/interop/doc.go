// Package interop holds the proof that a controller written by others can work
// with opcredsd: matter.js commissions and questions the real binary over a real
// network stack. Everything is behind the build tag interop; README.md says what
// it shows and how to run it.
package interop
