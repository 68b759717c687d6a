package im

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Quality is a set of qualities of an attribute, command or event (section
// 7.5 and 7.7).
type Quality uint16

// The qualities.
const (
	Nullable        Quality = 1 << iota // X
	FabricScoped                        // F: entries carry a fabric index; commands need an accessing fabric
	FabricSensitive                     // S
	NonVolatile                         // N
	Fixed                               // F of attributes that never change while the node runs
	ChangesOmitted                      // C: subscribers get no report of a change
	Timed                               // T: needs a timed interaction
	List                                // the value is an array, and may be sent in parts
)

// Has reports whether all of want are in q.
func (q Quality) Has(want Quality) bool { return q&want == want }

// Attribute is the metadata of one attribute. If Read or Write is 0, the attribute
// cannot be read or written.
type Attribute struct {
	ID      matter.AttributeID
	Name    string
	Read    matter.Privilege
	Write   matter.Privilege
	Quality Quality
}

// NoResponse means that a command is answered with a status alone.
const NoResponse matter.CommandID = 0xFFFF_FFFF

// Command is the metadata of one request command.
type Command struct {
	ID        matter.CommandID
	Name      string
	Response  matter.CommandID // or NoResponse
	Privilege matter.Privilege
	Quality   Quality
}

// Priority of an event (section 7.14.1.2).
type Priority uint8

// The priorities.
const (
	Debug    Priority = 0
	Info     Priority = 1
	Critical Priority = 2
)

// Event is the metadata of one event.
type Event struct {
	ID       matter.EventID
	Name     string
	Priority Priority
	Read     matter.Privilege
	Quality  Quality // FabricSensitive
}

// Spec is the metadata of a cluster. It is declared once, beside the handler. The
// global attributes are derived from it. Attributes, Commands and Events are in
// ascending order of their ids and do not include the global attributes.
type Spec struct {
	ID         matter.ClusterID
	Name       string
	Revision   uint16
	Features   uint32
	Attributes []Attribute
	Commands   []Command
	Events     []Event
}

// AppendElements appends the ids of the cluster and its attributes, commands and events,
// and its features. The result is equal only for clusters with the same elements.
func (s *Spec) AppendElements(b []byte) []byte {
	number := func(v uint32) { b = binary.LittleEndian.AppendUint32(b, v) }
	number(uint32(s.ID))
	number(s.Features)
	number(uint32(len(s.Attributes)))
	for i := range s.Attributes {
		number(uint32(s.Attributes[i].ID))
	}
	number(uint32(len(s.Commands)))
	for i := range s.Commands {
		number(uint32(s.Commands[i].ID))
	}
	number(uint32(len(s.Events)))
	for i := range s.Events {
		number(uint32(s.Events[i].ID))
	}
	return b
}

// Cluster is one cluster server on one endpoint. The engine checks existence,
// access, timing and fabric before it calls a handler. A handler is called only
// with ids that its Spec lists, and only for operations that the metadata allows.
//
// If an error wraps a matter.Status or matter.ClusterStatus, the peer gets that
// status. For any other error the peer gets FAILURE, and the error is logged.
type Cluster interface {
	Spec() *Spec

	// Read writes the attribute's value, one element with tag t. If
	// r.FabricFiltered is set, it writes only the accessing fabric's entries of a
	// fabric-scoped list.
	Read(r *Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error

	// Write replaces the attribute's value. For a fabric-scoped list, it replaces
	// the accessing fabric's entries. If the peer sends a list in parts (replace,
	// then appends), the engine puts them together first. Write changes nothing if
	// it returns an error.
	Write(r *Request, id matter.AttributeID, v tlv.Element) error

	// Invoke executes a command. fields is a structure. It is empty if the peer
	// sent no fields. If the command has a response, Invoke writes the response's
	// members into w, inside a structure that the engine has opened.
	Invoke(r *Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error
}

// Watcher is a Cluster whose attributes can change by themselves. The Engine sees
// the changes made by Write, and Invoke reports its own with [Request.Changed];
// Watcher is for all others. Settle calls Changes after each event that touched the
// endpoint (see [Engine.Touch]), or after every event if the endpoint is polled.
// Changes calls changed for each attribute whose value differs from that at the
// last call.
type Watcher interface {
	Changes(changed func(matter.AttributeID))
}

// EventReporter is a Watcher with events that occur outside of its Invoke, which
// uses [Request.Emit]. Settle calls Events after Changes. Events calls report for
// each event since the last call. None of them may be fabric-sensitive.
type EventReporter interface {
	Watcher
	Events(report func(id matter.EventID, data func(w *tlv.Writer)))
}

// Timer is a Watcher that acts at certain times.
type Timer interface {
	Watcher
	// Deadline returns the time at which Advance must be called next, and whether
	// there is one. The Engine calls it after Changes and after Advance.
	Deadline() (time.Time, bool)
	// Advance does the work that is due at now.
	Advance(now time.Time)
}

// ReadOnly rejects writes and commands. A handler without any embeds it.
type ReadOnly struct{}

// Write returns UNSUPPORTED_WRITE.
func (ReadOnly) Write(*Request, matter.AttributeID, tlv.Element) error {
	return matter.StatusUnsupportedWrite
}

// Invoke returns UNSUPPORTED_COMMAND.
func (ReadOnly) Invoke(*Request, matter.CommandID, tlv.Element, *tlv.Writer) error {
	return matter.StatusUnsupportedCommand
}

// Session describes the session that a request arrived on.
type Session struct {
	Serial               uint64 // unique while the process lives
	AttestationChallenge [16]byte
}

// Request is the context of one read, write or command. It belongs to the engine
// and is valid only during the call.
type Request struct {
	Now            time.Time
	Subject        acl.Subject // the requester; its Fabric is the accessing fabric
	Session        Session
	FabricFiltered bool
	Endpoint       matter.EndpointID
	Cluster        matter.ClusterID

	// Appended is set when a list is written. It is the number of elements, at the
	// end of the list, that the peer appended one by one to the list in its first
	// item.
	Appended int

	engine  *Engine
	mayWait bool   // the command may call Later
	later   *later // set if it did
}

// Conn is the exchange that carries one interaction. Messages sent on it are
// reliable. The peer's answers arrive through [Interaction.Receive].
type Conn interface {
	Subject() acl.Subject
	Session() Session

	// Group reports whether the message was sent to a group, and returns the
	// group's endpoints. Nothing is sent in reply to such a message.
	Group() (members []matter.EndpointID, ok bool)

	// Send sends one message. The caller may reuse payload when Send returns.
	Send(now time.Time, opcode uint8, payload []byte) error

	// AwaitResponse sets the deadline for the peer's next message. After it, the
	// interaction's Closed is called.
	AwaitResponse(deadline time.Time)

	// AwaitRequest is like AwaitResponse, but the interaction continues until the
	// deadline even if the peer acknowledges nothing.
	AwaitRequest(deadline time.Time)

	// Close announces that nothing more will be sent or expected.
	Close(now time.Time)
}

// Sessions opens exchanges that the node starts itself, for subscription reports.
type Sessions interface {
	// Open starts an exchange on the session with this serial number. The peer's
	// answers go to i. The error is ErrBusy if the session has too many exchanges
	// at the moment. Any other error means that the session is no longer usable.
	Open(now time.Time, serial uint64, i *Interaction) (Conn, error)
}

// ErrBusy is returned by [Sessions.Open] if the session has no room for an exchange
// now but will have some soon.
var ErrBusy = errors.New("too many exchanges on the session")
