package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/doctor"
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
			if err := f.checkHere(cmd.Context(), c); err != nil {
				return usageError{err}
			}
			if c.openPasscode() {
				return c.done("the configuration is valid, but everybody can read the passcode in %s: chown opcredsd %[1]s && chmod 600 %[1]s", c.read)
			}
			if err := f.web.checkFiles(); err != nil {
				return usageError{err}
			}
			return c.done("the configuration is valid")
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// checkHere reports what is wrong with the settings of run on this machine: the key's
// file, the state directory for the unit that uses the configuration, the ids for the
// attestation material.
func (f *runFlags) checkHere(ctx context.Context, c *common) error {
	if f.dacKeyFile != "" {
		if _, err := openKey(f.dacKeyFile); err != nil {
			return fmt.Errorf("dac-key-file: %w", err)
		}
	}
	if err := doctor.FindUnit(c.unit()).Check(c.stateDir); err != nil {
		return fmt.Errorf("state-dir: %w", err)
	}
	if f.vendorID == 0 && f.productID == 0 {
		return nil
	}
	var a admin.Attestation
	err := c.node(ctx, reads, func(n *admin.Operator) (err error) {
		a, err = n.Attestation(ctx)
		return err
	})
	if err != nil || a.CD == nil {
		return nil // there is no material that this user can see
	}
	switch {
	case f.vendorID != 0 && f.vendorID != a.CD.VendorID:
		return fmt.Errorf("vendor-id: 0x%04X is not 0x%04X, the vendor of the attestation material: commissioners would refuse the node", uint16(f.vendorID), uint16(a.CD.VendorID))
	case f.productID != 0 && !slices.Contains(a.CD.ProductIDs, f.productID):
		return fmt.Errorf("product-id: 0x%04X is not among the products of the attestation material: commissioners would refuse the node", uint16(f.productID))
	}
	return nil
}

// unit returns the unit of systemd that the configuration is for, or "".
func (c *common) unit() string {
	from := c.origins["state-dir"]
	if from != "default" && !strings.HasPrefix(from, c.read+":") {
		return "" // another directory than the unit's
	}
	if c.read == defaultConfig {
		return "opcredsd.service"
	}
	if name, ok := strings.CutSuffix(filepath.Base(c.read), ".yaml"); ok && filepath.Dir(c.read) == filepath.Dir(defaultConfig) {
		return "opcredsd@" + name + ".service"
	}
	return ""
}

// openPasscode reports whether everybody can read the passcode in the configuration file.
func (c *common) openPasscode() bool {
	if c.read == "" || !strings.HasPrefix(c.origins["passcode"], c.read+":") {
		return false
	}
	st, err := os.Stat(c.read)
	return err == nil && st.Mode().Perm()&0o004 != 0
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
