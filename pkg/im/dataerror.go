package im

import (
	"errors"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// WriteError converts the error of a [tlv.Reader] that read an attribute's new
// value. It returns CONSTRAINT_ERROR for a number outside its type's range,
// INVALID_DATA_TYPE for any other error (section 8.7), and nil for nil.
func WriteError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tlv.ErrRange):
		return matter.StatusConstraintError
	}
	return matter.StatusInvalidDataType
}

// CommandError converts the error of a [tlv.Reader] that read a command's fields.
// It returns INVALID_COMMAND for any error (section 8.8), and nil for nil.
func CommandError(err error) error {
	if err == nil {
		return nil
	}
	return matter.StatusInvalidCommand
}

// SingleUint16 reads the fields of a command whose only field is a uint16 with tag
// 0. It returns INVALID_COMMAND if the field is missing.
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
