package main

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opcredsd/opcredsd/pkg/metrics"
)

// reloadable are the settings that SIGHUP changes in a running daemon.
var reloadable = []string{"log-level", "log-format"}

// reloads reads the configuration again at each signal, until ctx ends.
func (f *runFlags) reloads(ctx context.Context, cmd *cobra.Command, c *common, hup <-chan os.Signal, n *notifier, m *metrics.Reload) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		n.reloading()
		f.reload(cmd, c, m)
		n.reloaded()
	}
}

// reload reads the configuration anew, from the same command line. If anything
// is wrong with it nothing changes.
func (f *runFlags) reload(cmd *cobra.Command, c *common, m *metrics.Reload) {
	log := c.log()
	fresh, again, err := reread(c)
	m.Read(err)
	if err != nil {
		log.Error("the configuration is wrong and was not taken: all is as it was", "error", err)
		return
	}
	c.sink.set(fresh.logLevel, fresh.logFormat)
	var restart []string
	cmd.Flags().VisitAll(func(old *pflag.Flag) {
		now := again.Flags().Lookup(old.Name)
		if now != nil && now.Value.String() != old.Value.String() && !slices.Contains(reloadable, old.Name) {
			restart = append(restart, old.Name)
		}
	})
	if len(restart) > 0 {
		log.Warn("configuration read again; some settings take a restart", "restart_for", strings.Join(restart, ","), "log_level", fresh.logLevel, "log_format", fresh.logFormat)
		return
	}
	log.Info("configuration read again", "log_level", fresh.logLevel, "log_format", fresh.logFormat)
}

// reread parses the command line, the environment and the file as at a start,
// and checks what comes of it.
func reread(c *common) (*common, *cobra.Command, error) {
	fresh := &common{stdout: c.stdout, stderr: c.stderr, args: c.args}
	cmd, args, err := newRoot(fresh).Find(c.args)
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.ParseFlags(args); err != nil {
		return nil, nil, err
	}
	if err := fresh.load(cmd); err != nil {
		return nil, nil, err
	}
	opt, err := fresh.run.options(cmd, fresh)
	if err != nil {
		return nil, nil, err
	}
	return fresh, cmd, opt.Check()
}
