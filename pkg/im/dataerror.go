package im

import (
	"errors"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// WriteError maps the error of a [tlv.Reader] over an attribute's new value:
// CONSTRAINT_ERROR for a number outside its type's range, INVALID_DATA_TYPE for
// everything else (section 8.7). nil stays nil.
func WriteError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tlv.ErrRange):
		return matter.StatusConstraintError
	}
	return matter.StatusInvalidDataType
}

// CommandError maps the error of a [tlv.Reader] over a command's fields: such
// fields are no command, INVALID_COMMAND (section 8.8). nil stays nil.
func CommandError(err error) error {
	if err == nil {
		return nil
	}
	return matter.StatusInvalidCommand
}
