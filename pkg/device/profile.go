package device

// Profile is what an ecosystem takes, and how.
type Profile struct {
	Name string

	// SetTopology makes a meter name the endpoints whose power it measures, in place of
	// measuring its endpoint and what is below: SmartThings counts only what is below,
	// which is nothing on a plug (rule 17 of the ecosystems).
	SetTopology bool
}
