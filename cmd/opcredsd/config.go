package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newConfig(c *common) *cobra.Command {
	cmd := group("config", "Check or show the configuration")
	cmd.AddCommand(newConfigCheck(c), newConfigShow(c))
	return cmd
}

func newConfigCheck(c *common) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration of \"opcredsd run\" without starting it",
		Long: `Check the configuration of "opcredsd run" without starting it: the flags given here,
the environment and the configuration file. If anything is wrong, the exit status is 2,
and the place, the value and the allowed values are printed.`,
		Example: "  sudo opcredsd config check && sudo systemctl restart opcredsd",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd, c); err != nil {
				return err
			}
			if f.dacKeyFile != "" {
				if _, err := openKey(f.dacKeyFile); err != nil {
					return usageError{fmt.Errorf("dac-key-file: %w", err)}
				}
			}
			return c.done("the configuration is valid")
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// check returns the first error in the settings of run.
func (f *runFlags) check(cmd *cobra.Command, c *common) error {
	opt, err := f.options(cmd, c)
	if err != nil {
		return err
	}
	return opt.Check()
}

// settingRow is a setting of run in the output of "config show".
type settingRow struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

func newConfigShow(c *common) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show every setting of \"opcredsd run\", and where it comes from",
		Long: `Show every setting of "opcredsd run" as it would be with the flags given here, the
environment and the configuration file, and which of them it comes from. A passcode
is not shown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd, c); err != nil {
				return err
			}
			var rows []settingRow
			cmd.Flags().VisitAll(func(fl *pflag.Flag) {
				if from, ok := c.origins[fl.Name]; ok {
					key := keyName(fl.Name)
					rows = append(rows, settingRow{key, c.shown(fl, from), strings.TrimSuffix(from, ": "+key)})
				}
			})
			return c.print(rows, func(w io.Writer) error {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "SETTING\tVALUE\tFROM")
				for _, r := range rows {
					fmt.Fprintf(t, "%s\t%s\t%s\n", r.Key, r.Value, r.From)
				}
				return t.Flush()
			})
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// shown returns the value of a setting for display.
func (c *common) shown(f *pflag.Flag, from string) string {
	switch v, list := f.Value.(pflag.SliceValue); {
	case f.Name == "passcode" && from != "default":
		return "(not shown)"
	case f.Name == "admin-socket":
		return c.adminSocket // also if it is derived from other settings
	case list:
		return strings.Join(v.GetSlice(), ",")
	case f.Value.String() == "" && f.Value.Type() == "number" && from != "default":
		return "0"
	}
	return f.Value.String()
}
