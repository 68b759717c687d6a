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

// common are the settings that every command takes.
type common struct {
	stdout, stderr io.Writer

	config      string
	stateDir    string
	adminSocket string
	output      string
	logLevel    string
	logFormat   string

	sink    logSink // where the log goes
	args    []string
	run     runFlags
	origins map[string]string // where the value of each setting stands, by flag
	read    string            // the configuration file that was read, or ""
}

func newRoot(c *common) *cobra.Command {
	root := &cobra.Command{
		Use:   "opcredsd",
		Short: "A Matter node for Linux gateways",
		Long: `opcredsd is a Matter node: the process that a phone commissions and that
controllers talk to. "opcredsd run" is the daemon; the other commands ask it, or
look at its store while it does not run.

Each flag of "opcredsd run" is also an environment variable, OPCREDSD_STATE_DIR,
and a key of the configuration file, state_dir. A flag wins over the environment,
that over the file, that over the default. The file is --config, else
$OPCREDSD_CONFIG, else ` + defaultConfig + ` if it is there.

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
	f.VarP(choice{&c.output, []string{"text", "json"}}, "output", "o", "output of commands: text or json")
	f.Var(choice{&c.logLevel, logLevels}, "log-level", "least level to log: debug, info, warn or error")
	f.Var(choice{&c.logFormat, []string{"text", "json"}}, "log-format", "format of the log: text or json")
	addGroup(root, "daily", "Every day:", newPairing(c), newStatus(c), newDevices(c), newFabrics(c), newWindow(c), newWebURL(c), newDoctor(c))
	addGroup(root, "keep", "What the node keeps:", newStore(c), newAttestation(c), newFactoryReset(c))
	addGroup(root, "daemon", "The daemon:", newRun(c), newReload(c), newConfig(c), newHealthcheck(c), newLogLevel(c))
	root.AddCommand(newVersion(c), newMan())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	strict(root)
	usageArgs(root)
	completeChoices(root)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return c.load(cmd) }
	return root
}

// addGroup adds commands that belong together to the help.
func addGroup(root *cobra.Command, id, title string, list ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, cmd := range list {
		cmd.GroupID = id
		root.AddCommand(cmd)
	}
}

// load completes the settings from the environment and the configuration file.
func (c *common) load(cmd *cobra.Command) error {
	if err := c.loadSettings(cmd, os.LookupEnv); err != nil {
		return usageError{err}
	}
	if err := c.complete(); err != nil {
		return usageError{err}
	}
	c.sink.set(c.logLevel, c.logFormat)
	// A library talks to the standard logger.
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(c.log().Handler(), slog.LevelDebug).Writer())
	return nil
}

// strict has cobra's own commands refuse what they do not know.
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

// completeChoices has shells offer the words that flags take, for cmd and all below
// it.
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

// usageArgs makes wrong arguments a usage error for cmd and all below it.
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

// exactly wants n arguments.
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

// systemStateDir is where the daemon of the machine keeps its store.
const systemStateDir = "/var/lib/opcredsd"

// defaultStateDir is $STATE_DIRECTORY, as systemd sets it, else what suits the
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
		return "" // an empty state-dir is refused where one is needed
	}
	return filepath.Join(home, ".local", "state", "opcredsd")
}

// complete fills in what other settings and the environment decide.
func (c *common) complete() error {
	if c.stateDir == "" {
		return fmt.Errorf("state-dir: none given, and there is no home directory to put it in")
	}
	if c.adminSocket == "" {
		c.adminSocket = filepath.Join(runtimeDir(c.stateDir), "admin.sock")
	}
	return nil
}

// log returns the logger that the settings ask for.
func (c *common) log() *slog.Logger { return c.sink.logger(c.stderr) }

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

// runtimeDir returns where the daemon's sockets are.
func runtimeDir(stateDir string) string {
	first, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	return cmp.Or(first, stateDir)
}
