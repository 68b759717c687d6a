package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

func newFabrics(c *common) *cobra.Command {
	cmd := group("fabrics", "Show or remove the fabrics that the node belongs to")
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the fabrics",
		Long: `List the fabrics that the node is a member of. A fabric is the network of one
controller or ecosystem. The vendor is the controller's maker; the label was set by the
controller. Some controllers use two fabrics. It is unknown when a fabric was added if
that was by an older version, or while the clock was wrong.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.node(cmd.Context(), reads, func(n *admin.Operator) error {
				list, err := n.Fabrics(cmd.Context())
				if err != nil {
					return err
				}
				return c.print(list, func(w io.Writer) error { return printFabrics(w, list) })
			})
		},
	}, &cobra.Command{
		Use:        "remove INDEX",
		SuggestFor: []string{"rm", "delete", "leave"},
		Short:      "Remove a fabric and disconnect its controllers",
		Long: `Remove a fabric, by its index in "opcredsd fabrics list", with its access control,
group keys, sessions and subscriptions. Its controllers show the node as offline until
it is removed there too. After the last fabric was removed, the node can be
commissioned again.`,
		Args:              exactly(1),
		ValidArgsFunction: c.completeFabrics,
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := strconv.ParseUint(args[0], 10, 8)
			if err != nil || !matter.FabricIndex(i).Valid() {
				return usageError{fmt.Errorf("fabric index %q is not between %d and %d", args[0], matter.MinFabricIndex, matter.MaxFabricIndex)}
			}
			return c.node(cmd.Context(), writes, func(n *admin.Operator) error {
				if err := n.RemoveFabric(cmd.Context(), matter.FabricIndex(i)); err != nil {
					return err
				}
				return c.done("fabric %d is removed", i)
			})
		},
	})
	return cmd
}

// completeFabrics offers the indices of the fabrics to a shell, with their labels.
func (c *common) completeFabrics(cmd *cobra.Command, args []string, _ string) (words []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 || c.load(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	_ = c.node(cmd.Context(), reads, func(n *admin.Operator) error { // without a node, nothing is offered
		list, err := n.Fabrics(cmd.Context())
		for _, f := range list {
			words = append(words, fmt.Sprintf("%d\t%q, vendor 0x%04X", f.Index, f.Label, uint16(f.VendorID)))
		}
		return err
	})
	return words, cobra.ShellCompDirectiveNoFileComp
}

// group returns a command that only contains others.
func group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

func printFabrics(w io.Writer, list []admin.Fabric) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no fabrics: the node is not commissioned")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "INDEX\tFABRIC ID\tNODE ID\tVENDOR\tLABEL\tCERTIFICATE ENDS\tADDED")
	for _, f := range list {
		ends, added := "never", "unknown"
		if f.NOCNotAfter != nil {
			ends = f.NOCNotAfter.Format(time.DateOnly)
		}
		if f.Added != nil {
			added = f.Added.Local().Format(time.DateOnly)
		}
		// A controller chose the label. It is quoted, so that it cannot control the
		// terminal.
		fmt.Fprintf(t, "%d\t%s\t%s\t0x%04X\t%s\t%s\t%s\n", f.Index, f.FabricID, f.NodeID, uint16(f.VendorID), strconv.Quote(f.Label), ends, added)
	}
	return t.Flush()
}
