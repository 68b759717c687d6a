// Package acl implements access control (section 6.6): the check of requests against the
// entries in the fabric table, and the rules for entries.
package acl
