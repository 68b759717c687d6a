package fabric

// LastKnownGoodTime returns the last known good time in seconds since the Matter epoch
// (section 3.5.6.1): the latest not-before in the certificates that administrators have
// given this node, including those of removed fabrics and of the staged one. It is 0 if
// there was no fabric yet. An issuer's clock may have been ahead, so nobody is refused by
// this time.
func (t *Table) LastKnownGoodTime() uint32 {
	if t.pending == nil {
		return t.goodTime
	}
	return max(t.goodTime, t.pending.validFrom())
}

// validFrom returns the latest not-before of the fabric's chain.
func (f *Fabric) validFrom() uint32 {
	from := max(f.RootCert.NotBefore, f.NOCCert.NotBefore)
	if f.ICACCert != nil {
		from = max(from, f.ICACCert.NotBefore)
	}
	return from
}
