package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/metrics"
	"github.com/opcredsd/opcredsd/pkg/mqtt"
	"github.com/opcredsd/opcredsd/pkg/mqtt/homeassistant"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// reloadable are the settings that a running daemon can change when it reads its
// configuration again.
var reloadable = []string{"log-level", "log-format", "expose", "devices-file"}

func newReload(c *common) *cobra.Command {
	var wrong error // error in the configuration as this command reads it
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the running daemon read its configuration again",
		Long: `Make the running daemon read its configuration again, from the file, the environment
and the command line that it was started with. These settings change at once:
` + strings.Join(reloadable, ", ") + `. Other changed settings, which need a restart, are printed.

If the configuration is wrong, nothing changes and the exit status is 2.`,
		Args: cobra.NoArgs,
		// The daemon gets the request even if this command finds an error in the
		// file: it counts the attempt, and it may have another configuration.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if wrong = c.load(cmd); wrong != nil {
				return c.complete()
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.daemon().Reload(cmd.Context())
			if errors.Is(err, admin.ErrUnreachable) && wrong != nil {
				return wrong
			}
			if err != nil {
				return err
			}
			return c.print(r, func(w io.Writer) error { return printReload(w, r) })
		},
	}
}

func printReload(w io.Writer, r admin.Reloaded) error {
	text := "the configuration was read again"
	if len(r.Changed) > 0 {
		text += "; changed: " + strings.Join(r.Changed, ", ")
	}
	if len(r.Restart) > 0 {
		text += "; needs a restart: " + strings.Join(r.Restart, ", ")
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// reloader reloads the configuration of a running daemon.
type reloader struct {
	cmd     *cobra.Command
	c       *common
	n       *notifier
	metrics *metrics.Reload
	devices *bridge.Registry // nil: none

	mu        sync.Mutex
	now       map[string]string          // current settings of the daemon, by flag
	overrides map[string]bridge.Override // current content of the devices file
	own       homeassistant.Own          // and of its devices
	mqtt      *mqtt.Front                // nil: none
}

func newReloader(cmd *cobra.Command, c *common, n *notifier) *reloader {
	r := &reloader{cmd: cmd, c: c, n: n, metrics: metrics.NewReload(), now: map[string]string{}}
	cmd.Flags().VisitAll(func(f *pflag.Flag) { r.now[f.Name] = f.Value.String() })
	return r
}

// serve reloads the configuration at each signal, until ctx ends.
func (r *reloader) serve(ctx context.Context, hup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		_, _ = r.reload() // reload logs the error
	}
}

// reload reads the configuration again, with the same command line. It changes
// nothing if there is an error.
func (r *reloader) reload() (admin.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n.reloading()
	defer r.n.reloaded()
	out, err := r.take()
	r.metrics.Read(err)
	log := r.c.log()
	if err != nil {
		log.Error("the configuration is wrong; nothing was changed", "error", err)
		return out, err
	}
	level, text, args := slog.LevelInfo, "configuration read again", []any{}
	if len(out.Restart) > 0 {
		level, text = slog.LevelWarn, "configuration read again; some settings need a restart"
		args = append(args, "restart_for", strings.Join(out.Restart, ","))
	}
	if len(out.Changed) > 0 {
		args = append(args, "changed", strings.Join(out.Changed, ","))
	}
	log.Log(context.Background(), level, text, append(args, "log_level", r.now["log-level"], "log_format", r.now["log-format"])...)
	return out, nil
}

// take reads the configuration and applies the reloadable settings.
func (r *reloader) take() (admin.Reloaded, error) {
	out := admin.Reloaded{Changed: []string{}, Restart: []string{}}
	fresh, again, err := reread(r.c)
	if err != nil {
		return out, asConfiguration(err)
	}
	var changed []*pflag.Flag
	again.Flags().VisitAll(func(f *pflag.Flag) {
		if was, ok := r.now[f.Name]; ok && was != f.Value.String() {
			changed = append(changed, f)
		}
	})
	said := fresh.run.bridge.overrides
	if file := again.Flags().Lookup("devices-file"); (!reflect.DeepEqual(said, r.overrides) || !reflect.DeepEqual(fresh.run.bridge.mqtt.own, r.own)) && !slices.Contains(changed, file) {
		changed = append(changed, file) // the same file with other content
	}
	for _, f := range changed {
		if !slices.Contains(reloadable, f.Name) {
			out.Restart = append(out.Restart, f.Name)
			continue
		}
		switch f.Name {
		case "expose":
			filter, err := bridge.ParseFilter(fresh.run.bridge.expose)
			if err != nil {
				return admin.Reloaded{}, asConfiguration(err)
			}
			if err := r.devices.SetExposed(filter); err != nil {
				return admin.Reloaded{}, err
			}
		case "devices-file":
			if err := r.devices.SetOverrides(said); err != nil {
				return admin.Reloaded{}, err
			}
			r.overrides = said
			if r.mqtt != nil {
				if err := r.mqtt.SetOwn(fresh.run.bridge.mqtt.own); err != nil {
					return admin.Reloaded{}, err
				}
			}
			r.own = fresh.run.bridge.mqtt.own
		}
		out.Changed = append(out.Changed, f.Name)
		r.now[f.Name] = f.Value.String()
	}
	r.c.sink.set(fresh.logLevel, fresh.logFormat) // also resets what "log-level" has set
	return out, nil
}

// asConfiguration marks an error as one in the configuration.
func asConfiguration(err error) error {
	var usage usageError
	var option *server.UsageError
	if errors.As(err, &usage) || errors.As(err, &option) {
		return admin.WrongConfiguration(err)
	}
	return err
}

// reread parses the command line, the environment and the file as at a start, and
// checks the result.
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
