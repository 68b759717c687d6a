// Package acl decides who may do what (section 6.6), and which access control
// entries may be stored. The entries are those of the fabric table; this package
// keeps none.
package acl
