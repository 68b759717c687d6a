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

// SingleUint16 reads the fields of a command that has one, an uint16 with the tag 0;
// INVALID_COMMAND if it is not there.
func SingleUint16(fields tlv.Element) (v uint16, err error) {
	have := false
	r := fields.Reader()
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 0 {
			v, have = r.Uint16(), true
		}
	}
	if err := r.End(); err != nil {
		return 0, CommandError(err)
	}
	if !have {
		return 0, matter.StatusInvalidCommand
	}
	return v, nil
}
