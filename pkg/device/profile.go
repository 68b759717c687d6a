package device

// Profile is what an ecosystem takes, and how.
type Profile struct {
	Name string
}
