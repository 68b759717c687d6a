package fabric

// Differ reports whether two results of [Table.All] differ, according to same, which
// compares two fabrics with one index. A fabric that only one of them has is compared
// with an empty one.
func Differ(a, b []*Fabric, same func(x, y *Fabric) bool) bool {
	if len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) {
		return false // the same slice
	}
	var none Fabric
	for len(a) > 0 || len(b) > 0 {
		x, y := &none, &none
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Index < b[0].Index:
			x, a = a[0], a[1:]
		case len(a) == 0 || b[0].Index < a[0].Index:
			y, b = b[0], b[1:]
		default:
			x, y, a, b = a[0], b[0], a[1:], b[1:]
		}
		if x != y && !same(x, y) {
			return true
		}
	}
	return false
}
