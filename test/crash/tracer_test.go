//go:build crash

package crash

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// process is a program under test.
type process struct {
	pid    int
	dead   chan struct{}   // closed when it has ended
	status unix.WaitStatus // once it has
}

// launch starts a program. With a plan, the program is traced, and the plan decides
// about each of its calls that concerns a file. The program ends with this process
// at the latest.
func launch(args []string, stdout, stderr *os.File, p *plan) (*process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pr := &process{dead: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Only the thread that started the program may trace it, and the parent
		// death signal depends on this thread, too. It is never unlocked, so it
		// ends with this function.
		runtime.LockOSThread()
		pid, _, err := syscall.StartProcess(args[0], args, &syscall.ProcAttr{
			Env:   []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LANG=C.UTF-8"},
			Files: []uintptr{null.Fd(), stdout.Fd(), stderr.Fd()},
			Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Ptrace: p != nil},
		})
		pr.pid = pid
		started <- err
		if err != nil {
			return
		}
		defer close(pr.dead)
		if p == nil {
			for {
				if _, err := unix.Wait4(pid, &pr.status, 0, nil); err != unix.EINTR {
					return
				}
			}
		}
		t := tracer{process: pr, plan: p, threads: map[int]*thread{}}
		t.run()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return pr, nil
}

func (p *process) signal(s unix.Signal) { _ = unix.Kill(p.pid, s) } // gone is as good

// kill kills the process.
func (p *process) kill() {
	p.signal(unix.SIGKILL)
	<-p.dead
}

func (p *process) alive() bool {
	select {
	case <-p.dead:
		return false
	default:
		return true
	}
}

// tracer follows all threads of a process from call to call. strace cannot do this:
// its injections count the calls of each thread separately, and a Go program moves
// between threads.
type tracer struct {
	*process
	plan    *plan
	threads map[int]*thread
}

// thread is one thread of the process.
type thread struct {
	call   *call // the current call, if it is relevant
	failed bool  // the call was replaced by one without effect
}

const stopOfCall = unix.SIGTRAP | 0x80

func (t *tracer) run() {
	var status unix.WaitStatus
	for {
		// Other threads of this program wait for their own children.
		tid, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return // none left
		case !status.Stopped():
			if tid == t.pid {
				t.status = status
			}
			continue
		}
		_ = unix.PtraceSyscall(tid, t.stopped(tid, status)) // the thread may have been killed meanwhile
	}
}

// stopped handles a stopped thread and returns the signal to deliver.
func (t *tracer) stopped(tid int, status unix.WaitStatus) (signal int) {
	th := t.threads[tid]
	if th == nil {
		t.threads[tid] = &thread{}
		if tid == t.pid { // after execve
			_ = unix.PtraceSetOptions(tid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL)
		}
		return 0
	}
	switch sig := status.StopSignal(); {
	case sig == stopOfCall:
		t.call(tid, th)
		return 0
	case sig == unix.SIGTRAP && status.TrapCause() > 0: // it created a thread
		return 0
	default:
		return int(sig)
	}
}

// syscallInfo is struct ptrace_syscall_info.
type syscallInfo struct {
	op   uint8
	_    [3]byte
	arch uint32
	_    [2]uint64 // instruction and stack pointer
	data [8]uint64 // entry: number, arguments; exit: result
}

func (t *tracer) call(tid int, th *thread) {
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return // killed meanwhile
	}
	switch info.op {
	case unix.PTRACE_SYSCALL_INFO_ENTRY:
		th.failed = false
		if th.call = t.plan.classify(t.pid, info.data[0], [6]uint64(info.data[1:])); th.call == nil {
			return
		}
		switch t.plan.enter(th.call) {
		case dies:
			t.signal(unix.SIGKILL)
		case fails:
			th.failed = skipCall(tid) == nil
		}
	case unix.PTRACE_SYSCALL_INFO_EXIT:
		if th.call == nil {
			return
		}
		result := int64(info.data[0])
		if th.failed {
			result = -int64(t.plan.errno())
			_ = setResult(tid, result)
		}
		if t.plan.leave(t.pid, th.call, result) == dies {
			t.signal(unix.SIGKILL)
		}
		th.call = nil
	}
}
