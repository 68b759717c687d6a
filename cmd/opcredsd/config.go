package main

import "github.com/spf13/cobra"

func newConfig(c *common) *cobra.Command {
	cmd := group("config", "Check the configuration")
	var f runFlags
	check := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration of \"opcredsd run\" without starting it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt, err := f.options(cmd, c)
			if err != nil {
				return err
			}
			if err := opt.Check(); err != nil {
				return err
			}
			return c.done("the configuration is in order")
		},
	}
	f.register(check.Flags())
	cmd.AddCommand(check)
	return cmd
}
