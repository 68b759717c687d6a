package fabric

// LastKnownGoodTime returns a time, in seconds since the Matter epoch, that has
// certainly come: the latest beginning of validity of a certificate chain that an
// administrator gave this node, be it of a fabric that is long gone (section
// 3.5.6.1). What is staged counts until it is dropped. It is 0 as long as there
// was no fabric.
func (t *Table) LastKnownGoodTime() uint32 {
	if t.pending == nil {
		return t.goodTime
	}
	return max(t.goodTime, t.pending.validFrom())
}

// validFrom returns when all certificates of the fabric's chain are valid.
func (f *Fabric) validFrom() uint32 {
	from := max(f.RootCert.NotBefore, f.NOCCert.NotBefore)
	if f.ICACCert != nil {
		from = max(from, f.ICACCert.NotBefore)
	}
	return from
}
