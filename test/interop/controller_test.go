//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// callLimit bounds one command. matter.js usually gives up on a silent device after
// half a minute.
const callLimit = 90 * time.Second

// controllers is the node process that contains the matter.js controllers.
type controllers struct {
	proc    *process
	input   io.WriteCloser
	answers chan answer
	limit   time.Duration // of one command
	ns      *namespace
}

// answer is what controller/main.mjs prints for a command.
type answer struct {
	OK     bool            `json:"ok"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	MS     float64         `json:"ms"`
	Steps  []timing        `json:"steps"`
}

type timing struct {
	Name string  `json:"name"`
	MS   float64 `json:"ms"`
}

// args are the arguments of a command.
type args map[string]any

func hexArg(b []byte) any { return map[string]string{"hex": hex.EncodeToString(b)} }

func (n *namespace) startControllers(storage, logs string) (*controllers, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("no node in PATH: install Node.js 20.19 or later (package nodejs)")
	}
	if _, err := os.Stat("node_modules/@matter/main"); err != nil {
		return nil, errors.New("no node_modules/@matter/main: run npm ci in test/interop (make interop does)")
	}
	log, err := os.Create(filepath.Join(logs, "controllers.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(node, "controller/main.mjs", storage)
	cmd.Stderr, cmd.Env = log, environment()
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = write
	c := &controllers{input: input, answers: make(chan answer), limit: callLimit, ns: n}
	c.proc, err = n.start("node", cmd, log)
	write.Close()
	if err != nil {
		output.Close()
		return nil, err
	}
	go c.receive(output)
	return c, nil
}

func (c *controllers) receive(output io.ReadCloser) {
	defer close(c.answers)
	eachLine(output, func(line []byte) {
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			a = answer{Error: fmt.Sprintf("not an answer: %q", bytes.TrimSpace(line))}
		}
		c.answers <- a
	})
}

// ready waits until the process accepts commands.
func (c *controllers) ready(ctx context.Context) (answer, error) { return c.next(ctx) }

// call runs a command and stores its result, unless result is nil. The answer
// contains the timings even if the command failed.
func (c *controllers) call(ctx context.Context, command string, a args, result any) (answer, error) {
	line, err := json.Marshal(map[string]any{"command": command, "args": a})
	if err != nil {
		return answer{}, err
	}
	if _, err := c.input.Write(append(line, '\n')); err != nil {
		return answer{}, fmt.Errorf("controllers: %w", err)
	}
	got, err := c.next(ctx)
	if err != nil || result == nil {
		return got, err
	}
	if err := json.Unmarshal(got.Result, result); err != nil {
		return got, fmt.Errorf("%s: result %s: %w", command, got.Result, err)
	}
	return got, nil
}

func (c *controllers) next(ctx context.Context) (answer, error) {
	select {
	case a, ok := <-c.answers:
		switch {
		case !ok:
			return a, errors.New("the controllers' process ended; see out/controllers.log")
		case !a.OK:
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-time.After(c.limit):
		return answer{}, fmt.Errorf("no answer from the controllers in %v", c.limit)
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
}

// stop ends the process by closing its input, which closes the controllers.
func (c *controllers) stop() error {
	c.input.Close()
	select {
	case <-c.proc.done:
		return nil
	case <-time.After(stopLimit):
		return c.proc.signal(syscall.SIGKILL, stopLimit)
	}
}

// octets is an octet string in an answer; nil for null.
type octets []byte

func (o *octets) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s == nil {
		*o = nil
		return nil
	}
	raw, err := hex.DecodeString(*s)
	if err != nil {
		return err
	}
	*o = append(octets{}, raw...)
	return nil
}

// integer is an integer in an answer: small ones are numbers, others text.
type integer uint64

func (i *integer) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseUint(string(bytes.Trim(b, `"`)), 10, 64)
	*i = integer(v)
	return err
}
