package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The time of day belongs to the whole machine; there is no namespace for it. But a
// process reads it with code that the kernel maps into the process, the vDSO, and
// its copy of that code can be replaced. Then the process has its own clock, which
// its parent can set. Timers use another clock and are not affected.

// clockStub replaces __vdso_clock_gettime on amd64. It calls the kernel and adds
// the number of seconds stored after it to CLOCK_REALTIME.
var clockStub = []byte{
	0xB8, 0xE4, 0x00, 0x00, 0x00, // mov eax, SYS_clock_gettime
	0x0F, 0x05, // syscall
	0x85, 0xFF, // test edi, edi
	0x75, 0x0A, // jnz ret
	0x48, 0x8B, 0x0D, 0x04, 0x00, 0x00, 0x00, // mov rcx, [rip+4]
	0x48, 0x01, 0x0E, // add [rsi], rcx
	0xC3, // ret
}

var errNoClock = errors.New("clocks can be set on amd64 only")

// setClock sets the difference between the daemon's time of day and the machine's.
func (d *daemon) setClock(by time.Duration) (err error) {
	if runtime.GOARCH != "amd64" {
		return errNoClock
	}
	proc := filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid))
	mem, err := os.OpenFile(filepath.Join(proc, "mem"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	at, err := clockCode(proc, mem)
	if err != nil {
		return err
	}
	code := binary.LittleEndian.AppendUint64(slices.Clone(clockStub), uint64(by/time.Second))
	for range stopTries {
		if err := d.cmd.Process.Signal(unix.SIGSTOP); err != nil {
			return err
		}
		outside, err := stoppedOutside(proc, at, at+int64(len(code)))
		if err == nil && outside {
			_, err = mem.WriteAt(code, at)
		}
		err = errors.Join(err, d.cmd.Process.Signal(unix.SIGCONT))
		if err != nil || outside {
			return err
		}
	}
	return errors.New("the daemon cannot be stopped where it does not ask for the time")
}

// stopTries is how often the daemon is stopped again if a thread is inside the code
// to be replaced.
const stopTries = 20

// stoppedOutside waits until all threads of a process have stopped. It reports
// whether none of them is between two addresses.
func stoppedOutside(proc string, from, to int64) (bool, error) {
	tasks, err := filepath.Glob(filepath.Join(proc, "task", "*"))
	if err != nil {
		return false, err
	}
	for _, task := range tasks {
		for end := time.Now().Add(stopLimit); ; time.Sleep(time.Millisecond) {
			b, err := os.ReadFile(filepath.Join(task, "stat"))
			if err != nil {
				return false, err
			}
			// The format is "pid (name) state …", and the name may contain any
			// character.
			if _, rest, _ := bytes.Cut(b, []byte(") ")); bytes.HasPrefix(rest, []byte("T")) {
				break
			}
			if time.Now().After(end) {
				return false, fmt.Errorf("%s does not stop", task)
			}
		}
		// The last number is the address of the thread's instruction.
		b, err := os.ReadFile(filepath.Join(task, "syscall"))
		if err != nil {
			return false, err
		}
		f := strings.Fields(string(b))
		pc, err := strconv.ParseUint(f[len(f)-1], 0, 64)
		if err != nil {
			return false, fmt.Errorf("%s/syscall: %q", task, b)
		}
		if int64(pc) >= from && int64(pc) < to {
			return false, nil
		}
	}
	return true, nil
}

// clockCode finds the code with which a process reads the time.
func clockCode(proc string, mem io.ReaderAt) (int64, error) {
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(line, "[vdso]\n") {
			continue
		}
		var from, to int64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			return 0, err
		}
		f, err := elf.NewFile(io.NewSectionReader(mem, from, to-from))
		if err != nil {
			return 0, err
		}
		symbols, err := f.DynamicSymbols()
		if err != nil {
			return 0, err
		}
		for _, s := range symbols {
			if s.Name == "__vdso_clock_gettime" && s.Size > uint64(len(clockStub)+8) {
				return from + int64(s.Value), nil
			}
		}
	}
	return 0, errors.New("no vDSO with clock_gettime")
}

// clockJump sets the daemon's clock and checks that nothing is affected: sessions
// and reports continue, and new sessions and fabrics can be created.
func (x *mixed) clockJump(by time.Duration) error {
	before, err := x.timeOfDay()
	if err != nil {
		return err
	}
	if err := x.setClock(by); err != nil {
		if errors.Is(err, errNoClock) {
			fmt.Println(err)
			return nil
		}
		return err
	}
	x.skew, by = by, by-x.skew
	after, err := x.timeOfDay()
	if err != nil {
		return err
	}
	if off := after.Sub(before) - by; off < 0 || off > 10*time.Second {
		return fmt.Errorf("the daemon's clock stood at %v and stands at %v", before, after)
	}
	if err := x.again("session, after the clock jumped"); err != nil {
		return err
	}
	for _, m := range x.members {
		if err := errors.Join(x.label(m), x.connect(m, "session, new, after the clock jumped", false)); err != nil {
			return err
		}
	}
	if len(x.members) < maxMembers {
		return x.join()
	}
	return nil
}
