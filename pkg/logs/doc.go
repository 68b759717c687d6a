// Package logs has what the node needs of a log beyond log/slog: a handler that
// keeps the newest lines, and a limit for lines that strangers can cause.
package logs
