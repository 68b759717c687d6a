package store

// This file is frozen: it is the step from schema 2 to schema 3. It must not follow
// the code of today. See the README in testdata.

// migrate2 adds what schema 3 keeps of bridged devices and of endpoints.
func migrate2(r *raw) error {
	for _, name := range []string{"devices", "endpoints"} {
		if _, err := r.b.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}
