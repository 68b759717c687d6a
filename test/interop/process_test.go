//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// process is a child in a namespace. It gets SIGKILL when the test ends in any way.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start runs cmd in the namespace and closes files when it has ended.
func (n *namespace) start(name string, cmd *exec.Cmd, files ...io.Closer) (*process, error) {
	cmd.WaitDelay = time.Second
	closeFiles := func() {
		for _, f := range files {
			f.Close()
		}
	}
	if err := n.Start(cmd); err != nil {
		closeFiles()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState has the result
		closeFiles()
		close(p.done)
	}()
	return p, nil
}

// signal sends s and waits until the process has ended.
func (p *process) signal(s os.Signal, limit time.Duration) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%s: still there %v after %v", p.name, limit, s)
	}
}

// output runs a command in the namespace and returns its stdout.
func (n *namespace) output(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, environment()
	p, err := n.start(name, cmd)
	if err != nil {
		return nil, err
	}
	<-p.done
	if !cmd.ProcessState.Success() {
		return nil, fmt.Errorf("%s: %v: %s", strings.Join(cmd.Args, " "), cmd.ProcessState, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// environment returns the environment of children, without variables for opcredsd
// or node.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LANG=C.UTF-8"}
}

// eachLine calls f with each line of a child's output, until it ends.
func eachLine(output io.ReadCloser, f func(line []byte)) {
	defer output.Close()
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		f(line)
	}
}

// lineWatch passes on output and sends the first line that wanted accepts to found.
type lineWatch struct {
	io.Writer
	wanted func(line string) bool
	found  chan struct{}
	once   sync.Once
	part   []byte
}

func (w *lineWatch) Write(b []byte) (int, error) {
	w.part = append(w.part, b...)
	for {
		line, rest, whole := bytes.Cut(w.part, []byte("\n"))
		if !whole {
			break
		}
		if w.wanted(string(line)) {
			w.once.Do(func() { close(w.found) })
		}
		w.part = rest
	}
	return w.Writer.Write(b)
}
