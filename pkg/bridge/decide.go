package bridge

// decide says whether a device is to be shown.
func (r *Registry) decide(e *entry) {
	e.hidden = ""
	switch shown, by := r.opt.Expose.Shows(&e.rec.Device); {
	case e.rec.Hidden:
		e.hidden = "an operator has hidden it"
	case !shown:
		e.hidden = "not exposed: " + by
	}
}
