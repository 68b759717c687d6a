package admin

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Pairing is what a commissioner needs to find and to pair the node.
type Pairing struct {
	QR            string `json:"qr"`
	Manual        string `json:"manual"`
	Discriminator uint16 `json:"discriminator"`
	Passcode      uint32 `json:"passcode"`
}

// Fabric is one row of the fabric table. 64-bit identifiers are 16 hex digits.
type Fabric struct {
	Index              matter.FabricIndex `json:"index"`
	FabricID           string             `json:"fabric_id"`
	NodeID             string             `json:"node_id"`
	VendorID           matter.VendorID    `json:"vendor_id"`
	Label              string             `json:"label"`
	RootPublicKey      string             `json:"root_public_key"` // hex, 65 octets
	CompressedFabricID string             `json:"compressed_fabric_id"`
	NOCNotAfter        *time.Time         `json:"noc_not_after"` // null: no end
	Added              *time.Time         `json:"added"`         // null: not known
}

// Status is the node at one moment.
type Status struct {
	Version       string         `json:"version"`
	PID           int            `json:"pid"`
	Started       time.Time      `json:"started"`
	Uptime        float64        `json:"uptime_seconds"`
	Port          uint16         `json:"port"`
	Ready         bool           `json:"ready"`           // announced, so that controllers can find it
	Fault         string         `json:"fault,omitempty"` // why it is not, and on which interface
	Product       Product        `json:"product"`
	Attestation   Attestation    `json:"attestation"`
	Window        WindowState    `json:"window"`
	FailSafe      FailSafe       `json:"fail_safe"`
	Fabrics       []FabricStatus `json:"fabrics"`
	MaxFabrics    int            `json:"max_fabrics"`
	Sessions      Sessions       `json:"sessions"`
	Subscriptions int            `json:"subscriptions"`             // on a session
	Interrupted   int            `json:"subscriptions_interrupted"` // whose subscribers cannot be reached
	Exchanges     int            `json:"exchanges"`
	Interfaces    []Interface    `json:"interfaces"`
	Services      []Service      `json:"services"`
}

// FabricStatus is a fabric with what its members have open at the moment.
type FabricStatus struct {
	Fabric
	NOCNotBefore  *time.Time `json:"noc_not_before"`
	Sessions      int        `json:"sessions"` // CASE
	Subscriptions int        `json:"subscriptions"`
	Interrupted   int        `json:"subscriptions_interrupted"`
	LastHeard     *time.Time `json:"last_heard"` // on one of the sessions; null: there is none
}

// Product is what Basic Information reports.
type Product struct {
	VendorID     matter.VendorID  `json:"vendor_id"`
	VendorName   string           `json:"vendor_name"`
	ProductID    matter.ProductID `json:"product_id"`
	ProductName  string           `json:"product_name"`
	SerialNumber string           `json:"serial_number"`
	UniqueID     string           `json:"unique_id"`
	NodeLabel    string           `json:"node_label"`
}

// WindowState is the commissioning window.
type WindowState struct {
	Kind     string     `json:"kind"` // "closed", "initial", "basic" or "enhanced"
	Closes   *time.Time `json:"closes"`
	Failures int        `json:"failures"`
}

// FailSafe is the fail-safe context.
type FailSafe struct {
	Armed  bool               `json:"armed"`
	Fabric matter.FabricIndex `json:"fabric"`
	Ends   *time.Time         `json:"ends"`
}

// Sessions counts secure sessions.
type Sessions struct {
	PASE int `json:"pase"`
	CASE int `json:"case"`
}

// Interface is a network interface as mDNS sees it.
type Interface struct {
	Name      string   `json:"name"`
	Host      string   `json:"host,omitempty"`
	Addresses []string `json:"addresses"`
	Reason    string   `json:"reason,omitempty"`  // why nothing is announced there
	Found     bool     `json:"found"`             // the node found itself there at its last look
	Problem   string   `json:"problem,omitempty"` // why not everything can be found there, though it is used
	Rivals    []string `json:"rivals,omitempty"`  // other hosts that announce the node there, or try to
}

// Service is announced over mDNS.
type Service struct {
	Type     string   `json:"type"`
	Instance string   `json:"instance"`
	Subtypes []string `json:"subtypes,omitempty"`
	Port     uint16   `json:"port"`
	TXT      []string `json:"txt,omitempty"`
}

// WindowRequest asks for a commissioning window.
type WindowRequest struct {
	Seconds  int  `json:"seconds"` // 180 to 900
	Enhanced bool `json:"enhanced"`
}

// Window is an open window with the codes for it.
type Window struct {
	Pairing
	Closes time.Time `json:"closes"`
}

// Reloaded is what came of reading the configuration again.
type Reloaded struct {
	Changed []string `json:"changed"`        // settings that were changed
	Restart []string `json:"restart_needed"` // settings that differ and take a restart
}

// LogLevel asks for another least level of the log: debug, info, warn, error.
type LogLevel struct {
	Level string `json:"level"`
}

// WebURL is an address of the page for browsers, with a token that lets somebody in once.
type WebURL struct {
	URL     string    `json:"url"`
	Others  []string  `json:"others,omitempty"` // the same at other addresses of the host
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}
