//go:build crash

package crash

import "golang.org/x/sys/unix"

// skipCall makes the kernel skip the call that the thread is about to make.
func skipCall(tid int) error {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	r.Orig_rax = ^uint64(0)
	return unix.PtraceSetRegs(tid, &r)
}

// setResult sets the result of the call.
func setResult(tid int, result int64) error {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	r.Rax = uint64(result)
	return unix.PtraceSetRegs(tid, &r)
}
