// Package admin implements the daemon's local interface, HTTP with JSON on a Unix
// socket of mode 0600, and its client. Only the daemon's own user and root may
// connect. Each change is logged with the user who made it.
package admin
