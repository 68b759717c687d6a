package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan makes the manual pages, for those who package the program.
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
			// Not what this machine's environment makes of it.
			cmd.Root().PersistentFlags().Lookup("state-dir").DefValue = systemStateDir
			return doc.GenManTree(cmd.Root(), &doc.GenManHeader{Section: "1", Source: "opcredsd " + version(), Manual: "opcredsd"}, args[0])
		},
	}
}
