package cluster

// Null is a value that may be null.
type Null[T any] struct {
	V     T
	Valid bool // not null
}

// Some returns v as a Null that is not null.
func Some[T any](v T) Null[T] { return Null[T]{V: v, Valid: true} }

// Or returns the value, or v if it is null.
func (n Null[T]) Or(v T) T {
	if n.Valid {
		return n.V
	}
	return v
}

func (Null[T]) null() {}

// Opt is a field of a command that may be absent.
type Opt[T any] struct {
	V     T
	Valid bool // present
}

// Or returns the value, or v if it is absent.
func (o Opt[T]) Or(v T) T {
	if o.Valid {
		return o.V
	}
	return v
}

func (Opt[T]) optional() {}
