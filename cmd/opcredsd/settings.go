package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Each flag of "opcredsd run" is also an environment variable, such as
// OPCREDSD_STATE_DIR, and a key of the configuration file, such as state_dir. A
// flag takes precedence over the environment, which takes precedence over the file.

// defaultConfig is read if it exists and no other file is given.
const defaultConfig = "/etc/opcredsd/config.yaml"

func envName(flag string) string {
	return "OPCREDSD_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// ofKubernetes are the variables by which Kubernetes announces a service with the
// program's name to containers.
var ofKubernetes = regexp.MustCompile(`^OPCREDSD_(SERVICE_(HOST|PORT(_.*)?)|PORT_[0-9]+_.*)$`)

// misspelt returns an error for a variable that is nearly one of the settings'. What is
// not near may be somebody else's.
func misspelt(environ, known []string) error {
	var names []string
	for _, flag := range append([]string{"config"}, known...) {
		names = append(names, envName(flag))
	}
	prefix := envName("")
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		word, ours := strings.CutPrefix(name, prefix)
		if !ours || slices.Contains(names, name) || ofKubernetes.MatchString(name) {
			continue
		}
		for _, n := range names {
			if distance(word, strings.TrimPrefix(n, prefix)) <= 1+len(word)/6 {
				return fmt.Errorf("%s: there is no such setting: did you mean %s?", name, n)
			}
		}
	}
	return nil
}

func keyName(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// notSettings are flags that are only for the command line.
var notSettings = []string{"config", "help", "output"}

// without are the commands that need no settings: an error in the default file must
// not stop them.
var without = []string{"version", "completion", "help", "man", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}

// setting is a value and its origin.
type setting struct {
	values []string
	list   bool // written as a list
	origin string
}

// loadSettings sets the flags of cmd that are settings and not on the command line,
// from the environment or the configuration file. It records the origin of each
// setting, and the file that was read.
func (c *common) loadSettings(cmd *cobra.Command, environ []string) error {
	known := settings(cmd.Root())
	if err := misspelt(environ, known); err != nil {
		return err
	}
	env := lookup(environ)
	file, must := c.configFile(cmd, env)
	values, err := readConfig(file, known)
	if !must && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		file, err = "", nil // there is none, or this user cannot read it
	}
	if err != nil {
		return err
	}
	origins := map[string]string{}
	c.origins, c.read = origins, file
	overridden := &overridden{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if err != nil || !slices.Contains(known, f.Name) {
			return
		}
		inFile, inEnv := values[f.Name], setting{}
		// An empty variable is only a value for text.
		if v, ok := env(envName(f.Name)); ok && (v != "" || f.Value.Type() == "string") {
			inEnv = setting{values: []string{v}, origin: envName(f.Name)}
		}
		switch {
		case f.Changed:
			origins[f.Name] = "--" + f.Name
			err = overridden.check(f.Name, inEnv, inFile)
		case len(inEnv.values) > 0:
			origins[f.Name] = inEnv.origin
			err = cmp.Or(overridden.check(f.Name, inFile), set(cmd, f.Name, inEnv))
		case len(inFile.values) > 0:
			origins[f.Name] = inFile.origin
			err = set(cmd, f.Name, inFile)
		default:
			origins[f.Name] = "default"
		}
	})
	return err
}

// lookup returns a function that looks up variables in an environment. As in the kernel's
// list, the last of a name counts.
func lookup(environ []string) func(string) (string, bool) {
	values := map[string]string{}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	return func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}
}

// overridden has a separate command line for values that others override. Errors in
// them are reported now, and not only when the others are removed.
type overridden struct{ cmd *cobra.Command }

func (o *overridden) check(flag string, list ...setting) error {
	for _, s := range list {
		if len(s.values) == 0 {
			continue
		}
		if o.cmd == nil {
			var err error
			if o.cmd, _, err = newRoot(&common{stdout: io.Discard, stderr: io.Discard}).Find([]string{"run"}); err != nil {
				return err
			}
			if err := o.cmd.ParseFlags(nil); err != nil { // adds the flags of all parents
				return err
			}
		}
		if err := set(o.cmd, flag, s); err != nil {
			return err
		}
	}
	return nil
}

// settings returns the flags that the environment and the file can set.
func settings(root *cobra.Command) (names []string) {
	run, _, err := root.Find([]string{"run"})
	if err != nil {
		panic("BUG: opcredsd: no command run")
	}
	for _, set := range []*pflag.FlagSet{root.PersistentFlags(), run.LocalFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(notSettings, f.Name) && !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		})
	}
	return names
}

func set(cmd *cobra.Command, flag string, s setting) error {
	if _, many := cmd.Flags().Lookup(flag).Value.(pflag.SliceValue); s.list && !many {
		return fmt.Errorf("%s: must be one value, not a list", s.origin)
	}
	for _, v := range s.values {
		if err := cmd.Flags().Set(flag, v); err != nil {
			return fmt.Errorf("%s: %w", s.origin, cause(err))
		}
	}
	return nil
}

// cause returns what is wrong with the value of a flag, without the flag.
func cause(err error) error {
	var value *pflag.InvalidValueError
	if !errors.As(err, &value) {
		return err
	}
	var number *strconv.NumError
	if errors.As(err, &number) && value.GetFlag().Value.Type() == "bool" {
		return fmt.Errorf("%q is neither true nor false", value.GetValue())
	}
	return value.Unwrap()
}

// flagError returns a usage error for a wrong command line.
func flagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &value):
		err = fmt.Errorf("--%s: %w", value.GetFlag().Name, cause(err))
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		err = fmt.Errorf("%w%s", err, meant(unknown.GetSpecifiedName(), names))
	}
	return usageError{err}
}

// configFile returns the configured file or the default one. must reports whether
// it has to exist. "" means none.
func (c *common) configFile(cmd *cobra.Command, env func(string) (string, bool)) (file string, must bool) {
	if c.config != "" {
		return c.config, true
	}
	if v, ok := env(envName("config")); ok {
		return v, true
	}
	for c := cmd; c.HasParent(); c = c.Parent() {
		if slices.Contains(without, c.Name()) {
			return "", false
		}
	}
	return defaultConfig, false
}
