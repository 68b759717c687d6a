package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan returns the command that writes the manual pages, for packagers.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a directory",
		Hidden: true,
		Args:   exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			// The default must not depend on this machine's environment.
			cmd.Root().PersistentFlags().Lookup("state-dir").DefValue = systemStateDir
			return doc.GenManTree(cmd.Root(), &doc.GenManHeader{Section: "1", Source: "opcredsd " + version(), Manual: "opcredsd"}, args[0])
		},
	}
}
