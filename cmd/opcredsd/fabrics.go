package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/spf13/cobra"
)

func newFabrics(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fabrics",
		Short: "Show the fabrics that the node belongs to",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the fabrics",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []admin.Fabric
			err := c.node(cmd.Context(),
				func(ctx context.Context, a *admin.Client) (err error) { list, err = a.Fabrics(ctx); return err },
				func(o *server.Offline) (err error) { list, err = o.Fabrics(); return err })
			if err != nil {
				return err
			}
			return c.print(list, func(w io.Writer) error { return printFabrics(w, list) })
		},
	})
	return cmd
}

func printFabrics(w io.Writer, list []admin.Fabric) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no fabrics: the node is not commissioned")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "INDEX\tFABRIC ID\tNODE ID\tVENDOR\tLABEL\tCERTIFICATE ENDS")
	for _, f := range list {
		ends := "never"
		if f.NOCNotAfter != nil {
			ends = f.NOCNotAfter.Format("2006-01-02")
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t0x%04X\t%s\t%s\n", f.Index, f.FabricID, f.NodeID, uint16(f.VendorID), f.Label, ends)
	}
	return t.Flush()
}
