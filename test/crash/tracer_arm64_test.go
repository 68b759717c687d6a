//go:build crash

package crash

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// regsetCall is NT_ARM_SYSTEM_CALL, regsetGeneral NT_PRSTATUS.
const (
	regsetCall    = 0x404
	regsetGeneral = 1
)

// skipCall makes the kernel skip the call that the thread is about to make.
func skipCall(tid int) error {
	number := int32(-1)
	v := unix.Iovec{Base: (*byte)(unsafe.Pointer(&number)), Len: uint64(unsafe.Sizeof(number))}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SETREGSET, uintptr(tid), regsetCall, uintptr(unsafe.Pointer(&v)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// setResult sets the result of the call.
func setResult(tid int, result int64) error {
	var r unix.PtraceRegsArm64
	if err := unix.PtraceGetRegSetArm64(tid, regsetGeneral, &r); err != nil {
		return err
	}
	r.Regs[0] = uint64(result)
	return unix.PtraceSetRegSetArm64(tid, regsetGeneral, &r)
}
