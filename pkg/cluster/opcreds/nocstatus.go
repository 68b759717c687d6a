package opcreds

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// NOCStatus is the StatusCode of a NOCResponse, NodeOperationalCertStatusEnum (section
// 11.18.4.3). A handler returns it as an error, and the client gets a NOCResponse, which is
// a success of the Interaction Model.
type NOCStatus uint8

// The codes; 7 and 8 are reserved.
const (
	NOCStatusOK                  NOCStatus = 0
	NOCStatusInvalidPublicKey    NOCStatus = 1
	NOCStatusInvalidNodeOpID     NOCStatus = 2
	NOCStatusInvalidNOC          NOCStatus = 3
	NOCStatusMissingCSR          NOCStatus = 4
	NOCStatusTableFull           NOCStatus = 5
	NOCStatusInvalidAdminSubject NOCStatus = 6
	NOCStatusFabricConflict      NOCStatus = 9
	NOCStatusLabelConflict       NOCStatus = 10
	NOCStatusInvalidFabricIndex  NOCStatus = 11
)

var nocStatusNames = map[NOCStatus]string{
	NOCStatusOK:                  "OK",
	NOCStatusInvalidPublicKey:    "InvalidPublicKey",
	NOCStatusInvalidNodeOpID:     "InvalidNodeOpId",
	NOCStatusInvalidNOC:          "InvalidNOC",
	NOCStatusMissingCSR:          "MissingCsr",
	NOCStatusTableFull:           "TableFull",
	NOCStatusInvalidAdminSubject: "InvalidAdminSubject",
	NOCStatusFabricConflict:      "FabricConflict",
	NOCStatusLabelConflict:       "LabelConflict",
	NOCStatusInvalidFabricIndex:  "InvalidFabricIndex",
}

// Error returns the specification's name of the code.
func (s NOCStatus) Error() string {
	if n, ok := nocStatusNames[s]; ok {
		return n
	}
	return fmt.Sprintf("NOCStatus(%d)", uint8(s))
}

// writeNOCResponse writes the members of a NOCResponse. i is written with success only.
// DebugText is not sent; the node's log has the details.
func writeNOCResponse(w *tlv.Writer, s NOCStatus, i matter.FabricIndex) {
	w.Uint(tlv.Context(0), uint64(s))
	if s == NOCStatusOK {
		w.Uint(tlv.Context(1), uint64(i))
	}
}
