package fabric

// Differ reports whether two results of [Table.All] differ in what same compares
// of their fabrics. A fabric that is in one of them only is compared with one
// that has nothing.
func Differ(a, b []*Fabric, same func(x, y *Fabric) bool) bool {
	if len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) {
		return false // the very same state
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
