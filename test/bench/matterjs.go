package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Paths of matter.js and of the device that uses it, from the repository's root.
const (
	matterJSPackages = "test/interop"
	matterJSDevice   = "test/bench/device.mjs"
	matterJSLimit    = time.Minute
)

// matterJS measures the same operations on a matter.js device.
func (b *bench) matterJS() error {
	if _, err := os.Stat(filepath.Join(matterJSPackages, "node_modules/@matter/main")); err != nil {
		return fmt.Errorf("no matter.js: %w (make setup)", err)
	}
	b.peerRun = true
	start := func() (*process, *output, error) {
		cmd := exec.Command("node", matterJSDevice, matterJSPackages, filepath.Join(b.dir, "matterjs"),
			strconv.Itoa(passcode), strconv.Itoa(discriminator), strconv.Itoa(udpPort))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "LANG=C.UTF-8"}
		out := new(output)
		p, err := startIn(b.ns, cmd, out)
		if err == nil {
			_, err = out.await(p, "ready", matterJSLimit)
		}
		return p, out, err
	}
	l, err := newLoad(b.ctx, b.rounds)
	if err != nil {
		return err
	}
	defer l.client.Close()
	p, out, err := start()
	if err != nil {
		return err
	}
	l.device = p
	if err := l.settleIn(); err != nil {
		return fmt.Errorf("%w\n%s", err, out.tail())
	}
	if err := p.signal(unix.SIGTERM); err != nil {
		return err
	}
	if l.device, out, err = start(); err != nil {
		return err
	}
	defer l.device.signal(os.Kill)
	b.say("matter.js: warm-up")
	if err := l.connect(); err != nil {
		return err
	}
	// The first thousand operations take several times as long as later ones.
	if err := repeat(2000, l.readOne)(); err != nil {
		return err
	}
	if err := b.operations(nil, l); err != nil {
		return fmt.Errorf("%w\n%s", err, out.tail())
	}
	return nil
}
