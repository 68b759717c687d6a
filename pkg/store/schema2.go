package store

// This file is frozen. It holds the step from schema 2 to schema 3, and does not change
// with the code of today. See the README in testdata.

// migrate2 adds the buckets for bridged devices and for endpoints.
func migrate2(r *raw) error {
	for _, name := range []string{"devices", "endpoints"} {
		if _, err := r.b.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}
