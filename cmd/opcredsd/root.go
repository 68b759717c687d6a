package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// common are the settings that every command takes.
type common struct {
	stdout, stderr io.Writer

	config      string
	stateDir    string
	adminSocket string
	output      string
	logLevel    string
	logFormat   string

	level slog.LevelVar // of the log; changed while the daemon runs
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	c := &common{stdout: stdout, stderr: stderr}
	root := &cobra.Command{
		Use:   "opcredsd",
		Short: "A Matter node for Linux gateways",
		Long: `opcredsd is a Matter node: the process that a phone commissions and that
controllers talk to. "opcredsd run" is the daemon; the other commands ask it, or
look at its store while it does not run.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	f := root.PersistentFlags()
	f.StringVar(&c.config, "config", "", "configuration file (YAML)")
	f.StringVar(&c.stateDir, "state-dir", defaultStateDir(), "directory of the store")
	f.StringVar(&c.adminSocket, "admin-socket", "", "Unix socket of the daemon (default $RUNTIME_DIRECTORY/admin.sock, else STATE_DIR/admin.sock)")
	f.StringVarP(&c.output, "output", "o", "text", "output of commands: text or json")
	f.StringVar(&c.logLevel, "log-level", "info", "least level to log: debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "format of the log: text or json")
	root.AddCommand(newRun(c), newPairing(c), newStatus(c), newFabrics(c), newWindow(c), newStore(c), newFactoryReset(c),
		newConfig(c), newHealthcheck(c), newLogLevel(c), newVersion(c))
	usageArgs(root)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := loadSettings(cmd, c.config, os.LookupEnv); err != nil {
			return usageError{err}
		}
		return c.check()
	}
	return root
}

// usageArgs makes wrong arguments a usage error for cmd and all below it.
func usageArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageArgs(sub)
	}
}

// defaultStateDir is $STATE_DIRECTORY, as systemd sets it, else what suits the
// user.
func defaultStateDir() string {
	if d := os.Getenv("STATE_DIRECTORY"); d != "" {
		return strings.Split(d, ":")[0]
	}
	if os.Geteuid() == 0 {
		return "/var/lib/opcredsd"
	}
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "opcredsd")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // an empty state-dir is refused where one is needed
	}
	return filepath.Join(home, ".local", "state", "opcredsd")
}

func (c *common) check() error {
	for _, s := range []struct {
		key, value string
		allowed    []string
	}{
		{"output", c.output, []string{"text", "json"}},
		{"log-level", c.logLevel, []string{"debug", "info", "warn", "error"}},
		{"log-format", c.logFormat, []string{"text", "json"}},
	} {
		if !slices.Contains(s.allowed, s.value) {
			return usageError{fmt.Errorf("%s: %q is not one of %s", s.key, s.value, strings.Join(s.allowed, ", "))}
		}
	}
	if c.stateDir == "" {
		return usageError{fmt.Errorf("state-dir: none given, and there is no home directory to put it in")}
	}
	if c.adminSocket == "" {
		dir := c.stateDir
		if d := os.Getenv("RUNTIME_DIRECTORY"); d != "" {
			dir = strings.Split(d, ":")[0]
		}
		c.adminSocket = filepath.Join(dir, "admin.sock")
	}
	return nil
}

// log returns the logger that the settings ask for.
func (c *common) log() *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		panic("BUG: opcredsd: unchecked log level")
	}
	c.level.Set(level)
	if c.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(c.stderr, &slog.HandlerOptions{Level: &c.level}))
	}
	return slog.New(newTextHandler(c.stderr, &c.level))
}

// done says that a command has done its work.
func (c *common) done(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	return c.print(map[string]string{"result": line}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, line)
		return err
	})
}

// print writes v as JSON, or what text writes.
func (c *common) print(v any, text func(w io.Writer) error) error {
	if c.output == "json" {
		enc := json.NewEncoder(c.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	return text(c.stdout)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
