// Package store keeps the data that must outlive the process in one bbolt file:
// fabrics, the node's identity, attestation material, resumption records,
// subscriptions, counters, bridged devices and attributes of endpoints. It keeps
// records safe and does not know what they mean.
//
// # The file
//
// A record is one value: eight hexadecimal digits of a CRC-32C over bucket, key and
// text, a space, and the record as JSON. The text of bridged devices and endpoints is
// up to the caller. A fabric is one value with everything that belongs to it, so that
// no crash leaves half of it. A digest of all records shows a record that is missing
// or out of date.
//
// The schema version is in the bucket "meta". Open returns an error for a newer one
// than [SchemaVersion], and for records with unknown members. It migrates an older
// one in one transaction, after it has put a copy beside the file. With
// [Options.ReadOnly] it does not change the file and shows the migrated records.
//
// # Crashes
//
// A transaction is complete on the disk when Update returns. Until then a crash undoes
// it. A commit takes one sync, so a crash may leave its meta page without its other
// pages. The digest contains the number of its transaction: Open notices that, and
// goes back to the transaction before. See commit and findTorn. The first commit of a
// process takes two syncs, as bbolt does it. Close makes a last commit without changes.
//
// A new database is made under another name, synced and then renamed, because bbolt's
// own initialisation is not safe against a power cut. After that the marker file is
// written. A directory with a marker and no database has lost its database, and [Open]
// returns ErrMissing instead of making an empty one.
//
// # Damage
//
// bbolt has checksums for its two meta pages only. A damaged page makes it panic,
// recurse without end or fault in mapped memory. So Open checks all pages before it
// calls bbolt, and the CRC of every record. It never writes to a damaged file.
//
// Damage to pages of the last transaction looks like an interrupted commit, and undoes
// that transaction. After an orderly end that is the one of Close, which changed
// nothing.
//
// # Locking
//
// The file has a kernel lock (flock) that ends with its process. Open takes it before
// it reads the file. If another process holds it, the error says which.
package store
