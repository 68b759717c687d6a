// Package cluster defines clusters by the facts of the data model, accessors to a state,
// and functions on that state. What has changed is found by comparison.
package cluster
