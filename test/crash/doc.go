// Package crash checks that no kill, power cut or full disk leaves opcredsd with a
// partial change: the fabrics are always those before a command or those after it,
// and those after it if it was answered. All files need the build tag crash.
// README.md describes the tests and how to run them.
package crash
