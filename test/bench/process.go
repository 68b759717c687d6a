package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// process is a child whose CPU time and memory are measured.
type process struct {
	cmd   *exec.Cmd
	begin time.Time
	done  chan struct{} // closed when it has ended
	first bool          // only the first thread counts
}

func (p *process) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), name)
}

// cpu returns the CPU time that all threads of the process have used. The kernel
// updates it when a thread sleeps, so that it is exact if the process is idle.
func (p *process) cpu() (total time.Duration, err error) {
	names, err := filepath.Glob(p.proc("task/*/schedstat"))
	if err != nil {
		return 0, err
	}
	if p.first {
		names = []string{p.proc("schedstat")}
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has just ended
		}
		on, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(on, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		total += time.Duration(ns)
	}
	if total == 0 {
		return 0, errors.New("no CPU time in /proc: the process has ended, or the kernel keeps no schedstat")
	}
	return total, nil
}

// settled returns cpu when the process is idle.
func (p *process) settled() (time.Duration, error) {
	last, err := p.cpu()
	for range 100 {
		if err != nil {
			return 0, err
		}
		time.Sleep(3 * time.Millisecond)
		now, err := p.cpu()
		if err != nil || now == last {
			return now, err
		}
		last = now
	}
	return last, nil
}

// spent returns the CPU time that the process uses because of f.
func (p *process) spent(f func() error) (time.Duration, error) {
	before, err := p.settled()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := p.settled()
	return after - before, err
}

// rss returns the resident memory in octets.
func (p *process) rss() (float64, error) {
	b, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

func (p *process) lines(name string) ([]string, error) {
	b, err := os.ReadFile(p.proc(name))
	return strings.Split(string(b), "\n"), err
}

// sockets returns the names of the process's sockets, from its file descriptors.
func (p *process) sockets() (map[string]bool, error) {
	fds, err := filepath.Glob(p.proc("fd/*"))
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, fd := range fds {
		if name, err := os.Readlink(fd); err == nil {
			names[name] = true
		}
	}
	return names, nil
}

// signal sends s and waits for the end.
func (p *process) signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("%s: still there 10 s after %v", p.cmd.Path, s)
	}
}

// output records what a child writes. Others can wait for a line of it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// tail returns the last lines, for an error.
func (o *output) tail() string {
	lines := strings.Split(strings.TrimSpace(o.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// await waits for a line with the words in the output of p and returns it.
func (o *output) await(p *process, words string, limit time.Duration) (string, error) {
	for end := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		for line := range strings.Lines(o.String()) {
			if strings.Contains(line, words) {
				return strings.TrimSpace(line), nil
			}
		}
		select {
		case <-p.done:
			return "", fmt.Errorf("%s ended: %v\n%s", p.cmd.Path, p.cmd.ProcessState, o.tail())
		default:
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("%s: nothing with %q in %v\n%s", p.cmd.Path, words, limit, o.tail())
		}
	}
}
