package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// common holds the settings of all commands.
type common struct {
	stdout, stderr io.Writer

	config       string
	stateDir     string
	adminSocket  string
	statusSocket string
	output       string
	logLevel     string
	logFormat    string

	sink    logSink // where the log goes
	args    []string
	run     runFlags
	origins map[string]string // where the value of each setting comes from, by flag
	read    string            // the configuration file that was read, or ""
}

func newRoot(c *common) *cobra.Command {
	root := &cobra.Command{
		Use:   "opcredsd",
		Short: "A Matter node for Linux gateways",
		Long: `opcredsd shows devices to Matter ecosystems as a bridge: those of an MQTT broker, and
those that programs add through a local API. "opcredsd run" is the daemon. The other
commands send it requests, or open its store while it is not running.

Each flag of "opcredsd run" is also an environment variable, such as
OPCREDSD_STATE_DIR, and a key of the configuration file, such as state_dir. Flags take
precedence over the environment, the environment over the file, and the file over the
defaults. The file is --config, else $OPCREDSD_CONFIG, else ` + defaultConfig + `
if it exists.

Exit status: 0 done; 1 it failed; 2 wrong usage or configuration; 3 the daemon
cannot be reached.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		DisableAutoGenTag: true,
		Version:           version(),
	}
	root.SetVersionTemplate(versionLine() + "\n")
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(flagError)
	c.output, c.logLevel, c.logFormat = "text", "info", "text"
	f := root.PersistentFlags()
	f.StringVar(&c.config, "config", "", "configuration `file` (YAML)")
	f.StringVar(&c.stateDir, "state-dir", defaultStateDir(), "`directory` of the store")
	f.StringVar(&c.adminSocket, "admin-socket", "", "`path` of the daemon's Unix socket (default $RUNTIME_DIRECTORY/admin.sock, else STATE_DIR/admin.sock)")
	f.StringVar(&c.statusSocket, "status-socket", "", "`path` of a Unix socket for users who may only look, which its directory decides (default: none)")
	f.VarP(choice{&c.output, []string{"text", "json"}}, "output", "o", "output of commands: text or json")
	f.Var(choice{&c.logLevel, logLevels}, "log-level", "minimum level to log: debug, info, warn or error")
	f.Var(choice{&c.logFormat, []string{"text", "json"}}, "log-format", "format of the log: text or json")
	addGroup(root, "daily", "Every day:", newPairing(c), newStatus(c), newDevices(c), newFabrics(c), newWindow(c), newWebURL(c), newDoctor(c))
	addGroup(root, "keep", "What the node keeps:", newStore(c), newAttestation(c), newFactoryReset(c))
	addGroup(root, "daemon", "The daemon:", newRun(c), newReload(c), newConfig(c), newHealthcheck(c), newLogLevel(c))
	root.AddCommand(newVersion(c))
	for _, command := range buildCommands {
		root.AddCommand(command())
	}
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	strict(root)
	usageArgs(root)
	completeChoices(root)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return c.load(cmd) }
	return root
}

// buildCommands are for those who build the program. A release has none.
var buildCommands []func() *cobra.Command

// addGroup adds related commands as a group of the help.
func addGroup(root *cobra.Command, id, title string, list ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, cmd := range list {
		cmd.GroupID = id
		root.AddCommand(cmd)
	}
}

// load completes the settings from the environment and the configuration file.
func (c *common) load(cmd *cobra.Command) error {
	if err := c.loadSettings(cmd, os.Environ()); err != nil {
		return usageError{err}
	}
	if err := c.complete(); err != nil {
		return usageError{err}
	}
	c.sink.set(c.logLevel, c.logFormat)
	// A library uses the standard logger.
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(c.log().Handler(), slog.LevelDebug).Writer())
	return nil
}

// strict makes cobra's own commands reject unknown arguments.
func strict(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return fmt.Errorf("there is no help on %q", strings.Join(args, " "))
				}
				return nil
			}
		case "completion":
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// completeChoices lets shells complete the values of flags, for cmd and all its
// subcommands.
func completeChoices(cmd *cobra.Command) {
	for _, set := range []*pflag.FlagSet{cmd.LocalNonPersistentFlags(), cmd.PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			c, ok := f.Value.(choice)
			if !ok {
				return
			}
			if err := cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(c.allowed, cobra.ShellCompDirectiveNoFileComp)); err != nil {
				panic("BUG: opcredsd: " + err.Error())
			}
		})
	}
	for _, sub := range cmd.Commands() {
		completeChoices(sub)
	}
}

// usageArgs makes wrong arguments a usage error for cmd and all its subcommands.
func usageArgs(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				if near := cmd.SuggestionsFor(first(args)); len(near) > 0 {
					err = fmt.Errorf("%w: did you mean %q?", err, near[0])
				}
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageArgs(sub)
	}
}

// exactly requires n arguments.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// systemStateDir is the state directory of the system's daemon.
const systemStateDir = "/var/lib/opcredsd"

// defaultStateDir is $STATE_DIRECTORY, which systemd sets, or a default for the
// user.
func defaultStateDir() string {
	if d := os.Getenv("STATE_DIRECTORY"); d != "" {
		return strings.Split(d, ":")[0]
	}
	if os.Geteuid() == 0 {
		return systemStateDir
	}
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "opcredsd")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // an empty state-dir is an error where one is needed
	}
	return filepath.Join(home, ".local", "state", "opcredsd")
}

// complete sets the settings that follow from others and from the environment.
func (c *common) complete() error {
	if c.stateDir == "" {
		return fmt.Errorf("state-dir: not set, and there is no home directory for it")
	}
	if c.adminSocket == "" {
		c.adminSocket = filepath.Join(runtimeDir(c.stateDir), "admin.sock")
	}
	return nil
}

// log returns a logger for the settings.
func (c *common) log() *slog.Logger { return c.sink.logger(c.stderr) }

// done prints that a command has done its work.
func (c *common) done(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	return c.print(map[string]string{"result": line}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, line)
		return err
	})
}

// print writes v as JSON, or calls text.
func (c *common) print(v any, text func(w io.Writer) error) error {
	if c.output == "json" {
		enc := json.NewEncoder(c.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	return text(c.stdout)
}

func isTerminal(w io.Writer) bool {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// runtimeDir returns the directory of the daemon's sockets.
func runtimeDir(stateDir string) string {
	first, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	return cmp.Or(first, stateDir)
}
