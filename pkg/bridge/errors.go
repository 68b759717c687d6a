package bridge

import "fmt"

// Error is an error about a request, of which the member at Pointer is the cause.
type Error struct {
	Kind    Kind
	Pointer string // a JSON pointer (RFC 6901), or empty
	Detail  string
}

// Kind is what kind of error an [Error] is.
type Kind uint8

// The kinds.
const (
	Invalid  Kind = iota // the request does not fit
	NotFound             // there is no such device, part or event
	Conflict             // it cannot be in the present state
	Full                 // there is no room for more
)

func (e *Error) Error() string { return e.Detail }

func invalid(pointer, format string, args ...any) error {
	return &Error{Kind: Invalid, Pointer: pointer, Detail: fmt.Sprintf(format, args...)}
}

func notFound(id string) error {
	return &Error{Kind: NotFound, Detail: fmt.Sprintf("there is no device %q", id)}
}
