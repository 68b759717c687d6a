package bridge

import "fmt"

// Error is an error in a request, caused by the member at Pointer.
type Error struct {
	Kind    Kind
	Pointer string // a JSON pointer (RFC 6901), or empty
	Detail  string
	Cause   error // such as a [*device.ValueError]; nil: none
}

// Kind is what kind of error an [Error] is.
type Kind uint8

// The kinds.
const (
	Invalid  Kind = iota // the request is not valid
	NotFound             // the device, part or event does not exist
	Conflict             // not possible in the current state
	Full                 // a limit is reached
)

func (e *Error) Error() string { return e.Detail }
func (e *Error) Unwrap() error { return e.Cause }

func invalid(pointer, format string, args ...any) error {
	return &Error{Kind: Invalid, Pointer: pointer, Detail: fmt.Sprintf(format, args...)}
}

func notFound(id string) error {
	return &Error{Kind: NotFound, Detail: fmt.Sprintf("there is no device %q", id)}
}
