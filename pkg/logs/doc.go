// Package logs extends log/slog for the node: a handler that keeps the newest
// lines, and a rate limit for lines that strangers can cause.
package logs
