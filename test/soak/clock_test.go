package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// askedVar makes the test binary print the time once for every line of input.
const askedVar = "OPCREDSD_SOAK_TIME"

func TestMain(m *testing.M) {
	if os.Getenv(askedVar) == "" {
		os.Exit(m.Run())
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(time.Now().Unix(), time.Since(time.Now()) < time.Second)
	}
}

// The time of day of another process can be set repeatedly without affecting its
// timers.
func TestSetClock(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{askedVar + "=1"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(out)
	ask := func() (at time.Time, timers bool) {
		t.Helper()
		if _, err := fmt.Fprintln(in); err != nil || !lines.Scan() {
			t.Fatal(err, lines.Err())
		}
		var sec int64
		if _, err := fmt.Sscan(lines.Text(), &sec, &timers); err != nil {
			t.Fatal(err)
		}
		return time.Unix(sec, 0), timers
	}
	d := &daemon{cmd: cmd}
	const year = 365 * 24 * time.Hour
	for _, by := range []time.Duration{0, 3 * year, -30 * year, 0, -time.Hour} {
		if err := d.setClock(by); runtime.GOARCH != "amd64" {
			if !errors.Is(err, errNoClock) {
				t.Error(err)
			}
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		at, timers := ask()
		if off := at.Sub(time.Now().Add(by)); off < -5*time.Second || off > 5*time.Second || !timers {
			t.Errorf("set by %v, the clock is %v off", by, off)
		}
	}
}
