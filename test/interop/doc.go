// Package interop tests opcredsd with independent controllers: matter.js
// commissions and uses the real binary over a real network stack. All files need
// the build tag interop. README.md describes the tests and how to run them.
package interop
