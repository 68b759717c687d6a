package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Each flag is also an environment variable, OPCREDSD_STATE_DIR, and a key of
// the configuration file, state_dir. A flag wins over the environment, that over
// the file.

func envName(flag string) string {
	return "OPCREDSD_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func keyName(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// notSettings are flags that only make sense on a command line.
var notSettings = []string{"config", "help", "output"}

// loadSettings gives every flag of cmd that is not on its command line the value
// from the environment or the configuration file.
func loadSettings(cmd *cobra.Command, file string, env func(string) (string, bool)) error {
	if v, ok := env(envName("config")); ok && file == "" {
		file = v
	}
	values, err := readConfig(cmd, file)
	if err != nil {
		return err
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if err != nil || f.Changed || slices.Contains(notSettings, f.Name) {
			return
		}
		// An empty variable says something for texts only.
		if v, ok := env(envName(f.Name)); ok && (v != "" || f.Value.Type() == "string") {
			err = set(cmd, f.Name, []string{v}, envName(f.Name))
		} else if list, ok := values[keyName(f.Name)]; ok {
			err = set(cmd, f.Name, list, file+": "+keyName(f.Name))
		}
	})
	return err
}

func set(cmd *cobra.Command, flag string, values []string, origin string) error {
	for _, v := range values {
		if err := cmd.Flags().Set(flag, v); err != nil {
			var parse *strconv.NumError
			if errors.As(err, &parse) {
				return fmt.Errorf("%s: %q is not a number in the range that the setting takes", origin, v)
			}
			return fmt.Errorf("%s: %q: %w", origin, v, cmp.Or(errors.Unwrap(err), err))
		}
	}
	return nil
}

// readConfig reads a configuration file into texts by key. Every key must be a
// setting of some command.
func readConfig(cmd *cobra.Command, file string) (map[string][]string, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	var raw map[string]yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&raw); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("config: %s: %w", file, err)
	}
	known := knownKeys(cmd.Root())
	out := map[string][]string{}
	for key, node := range raw {
		if !known[key] {
			return nil, fmt.Errorf("config: %s:%d: unknown key %q", file, node.Line, key)
		}
		items := []*yaml.Node{&node}
		if node.Kind == yaml.SequenceNode {
			items = node.Content
		}
		for _, n := range items {
			if n.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("config: %s:%d: %s must be a value or a list of values", file, node.Line, key)
			}
			out[key] = append(out[key], n.Value)
		}
	}
	return out, nil
}

func knownKeys(cmd *cobra.Command) map[string]bool {
	keys := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, set := range []*pflag.FlagSet{c.PersistentFlags(), c.LocalFlags()} {
			set.VisitAll(func(f *pflag.Flag) {
				if !slices.Contains(notSettings, f.Name) {
					keys[keyName(f.Name)] = true
				}
			})
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(cmd)
	return keys
}
