package im

import (
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
	ChangesOmitted                      // C: changes make no subscription report
	Timed                               // T: needs a timed interaction
	List                                // the value is an array, and may be sent in parts
)

// Has reports whether all of want are in q.
func (q Quality) Has(want Quality) bool { return q&want == want }

// Attribute is the metadata of one attribute. A privilege of 0 means that the
// operation does not exist.
type Attribute struct {
	ID      matter.AttributeID
	Name    string
	Read    matter.Privilege
	Write   matter.Privilege
	Quality Quality
}

// NoResponse says that a command is answered by a status alone.
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

// Spec is the metadata of a cluster: it stands once, beside the handler. The
// global attributes are made from it. Attributes, Commands and Events are in
// ascending order of their ids, without the global attributes.
type Spec struct {
	ID         matter.ClusterID
	Name       string
	Revision   uint16
	Features   uint32
	Attributes []Attribute
	Commands   []Command
	Events     []Event
}

// Cluster is one cluster server on one endpoint. The engine has checked
// existence, access, timing and fabric before it calls: a handler sees only ids
// that its Spec lists, and only operations that the metadata allows.
//
// An error that wraps a matter.Status or matter.ClusterStatus is what the peer
// gets; any other is FAILURE to the peer and a line in the log.
type Cluster interface {
	Spec() *Spec

	// Read writes the attribute's value, one element with tag t. With
	// r.FabricFiltered it writes only the accessing fabric's entries of a
	// fabric-scoped list.
	Read(r *Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error

	// Write replaces the attribute's value: the whole of it, or the accessing
	// fabric's entries of a fabric-scoped list. Parts sent by the peer (replace,
	// then appends) have been put together. An error has changed nothing.
	Write(r *Request, id matter.AttributeID, v tlv.Element) error

	// Invoke executes a command. fields is a structure, empty where the peer
	// sent none. A command with a response writes the response's members into
	// w, which stands inside their structure.
	Invoke(r *Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error
}

// Watcher is a Cluster with attributes that change in other ways than by its own
// Write, whose effect the Engine sees, and Invoke, which calls [Request.Changed].
// Settle calls Changes after each event that touched the endpoint (see
// [Engine.Touch]), or after every event if the endpoint is polled. Changes calls
// changed for each attribute that is not what it was at the last call.
type Watcher interface {
	Changes(changed func(matter.AttributeID))
}

// EventReporter is a Watcher with events that happen otherwise than in its Invoke, where
// it calls [Request.Emit]. Settle calls Events after Changes; it calls tell for each
// event that has happened since, none of them fabric-sensitive.
type EventReporter interface {
	Watcher
	Events(tell func(id matter.EventID, data func(w *tlv.Writer)))
}

// Timer is a Watcher with something to do at a certain time, as an [Engine] has.
type Timer interface {
	Watcher
	// Deadline returns when Advance is next to be called, and whether it is. It is
	// asked after Changes and after Advance.
	Deadline() (time.Time, bool)
	// Advance does what is due at now, if anything.
	Advance(now time.Time)
}

// ReadOnly refuses writes and commands, for clusters that have none; a handler
// embeds it.
type ReadOnly struct{}

// Write answers UNSUPPORTED_WRITE.
func (ReadOnly) Write(*Request, matter.AttributeID, tlv.Element) error {
	return matter.StatusUnsupportedWrite
}

// Invoke answers UNSUPPORTED_COMMAND.
func (ReadOnly) Invoke(*Request, matter.CommandID, tlv.Element, *tlv.Writer) error {
	return matter.StatusUnsupportedCommand
}

// Session is what a handler may know of the session that a request came by.
type Session struct {
	Serial               uint64 // unique while the process lives
	AttestationChallenge [16]byte
}

// Request is the context of one read, write or command. It is the engine's and
// valid during the call.
type Request struct {
	Now            time.Time
	Subject        acl.Subject // who asks; its Fabric is the accessing fabric
	Session        Session
	FabricFiltered bool
	Endpoint       matter.EndpointID
	Cluster        matter.ClusterID

	// Appended is, of a list that is written, how many of its last elements came as
	// items of their own, each to be appended to what the first item held.
	Appended int

	engine  *Engine
	mayWait bool   // the command may be answered later
	later   *later // it is
}

// Conn is the conversation that carries one interaction: an exchange. Messages
// sent on it are reliable; the peer's answers come back through
// [Interaction.Receive].
type Conn interface {
	Subject() acl.Subject
	Session() Session

	// Group returns the endpoints that belong to the group that the message was
	// sent to, and whether it was sent to one. No answer is ever sent then.
	Group() (members []matter.EndpointID, ok bool)

	// Send sends one message. payload may be reused when it returns.
	Send(now time.Time, opcode uint8, payload []byte) error

	// AwaitResponse bounds the wait for the peer's next message; past it the
	// interaction's Closed is called.
	AwaitResponse(deadline time.Time)

	// AwaitRequest is AwaitResponse, but a peer that acknowledges nothing until then
	// does not end the interaction before.
	AwaitRequest(deadline time.Time)

	// Close says that nothing more is to be sent or expected.
	Close(now time.Time)
}

// Sessions opens conversations of the node's own, for subscription reports.
type Sessions interface {
	// Open starts an exchange on the session with this serial number. Answers
	// come through i. An error is ErrBusy if the session has too many exchanges
	// at the moment, any other if it can carry none any more.
	Open(now time.Time, serial uint64, i *Interaction) (Conn, error)
}

// ErrBusy is returned by [Sessions.Open] for a session that will have room for an
// exchange shortly.
var ErrBusy = errors.New("too many exchanges on the session")
