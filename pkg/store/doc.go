// Package store keeps what must outlive the process in one bbolt file: fabrics,
// the node's identity, attestation material, resumption records, subscriptions,
// counters, bridged devices and attributes of endpoints. It knows how records are
// kept safe, not what they mean.
//
// # Shape of the file
//
// Every record is one value: eight hexadecimal digits of a CRC-32C over bucket,
// key and text, a space, and the record as JSON; those of bridged devices and of
// endpoints are octets of the caller's. A fabric with all that belongs to it is one
// value, so that no crash leaves half of it. A digest of all records shows if one is
// missing, or is there in an old state.
//
// The schema version is in the bucket "meta". Open returns an error for a newer one
// than [SchemaVersion], and for records with members that it does not know. It
// migrates an older one in one transaction, after it has put a copy beside the file.
// With [Options.ReadOnly] it leaves the file alone, and shows what the migration will
// make of it.
//
// # What a crash may do
//
// A transaction is on the disk whole before Update returns, or not at all. It
// takes one sync, so that a crash before that may leave its meta page without its
// other pages: the digest carries the number of its transaction, so that Open
// notices, and goes back to the transaction before. See commit and findTorn. The
// first commit of a process is synced in two steps, as bbolt does it, and so is
// one that changes nothing, made by Close.
//
// The file itself is born under another name, is written and synced there, and is
// then renamed, because bbolt's own first initialisation is not safe against a
// power cut. Only when it is durable is the marker file written beside it. So a
// directory with a marker and no database has lost its database: [Open] refuses
// to start empty there.
//
// # Damage
//
// bbolt checksums its two meta pages and nothing else, and answers a damaged
// page with a panic, an endless recursion or a fault in mapped memory. So Open
// walks all pages itself before bbolt sees the file, and checks the CRC of each
// record. A damaged file is never written to.
//
// Damage to what the last transaction before a crash has written cannot be told
// from a commit that was cut off, and undoes it. After an orderly end that
// transaction is the one of Close, and nothing is undone.
//
// # Locking
//
// The file carries a kernel lock (flock) that dies with its process. Open takes
// it before it looks at the content; a second process is told who holds it.
package store
