// Package admin is the daemon's local interface: HTTP with JSON on a Unix
// socket of mode 0600, and its client. Only the daemon's own user and root may
// connect; each change leaves a line in the daemon's log that says who made it.
package admin
