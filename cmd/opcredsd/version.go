package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/spf13/cobra"
)

// release is set by the linker when a release is built.
var release = ""

// version returns the release, or what the build knows of its source.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "0.0.0-" + s.Value[:12]
			}
		}
	}
	return "0.0.0-dev"
}

func newVersion(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
				Matter  string `json:"matter"`
			}{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, specification()}
			return c.print(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "opcredsd %s (Matter %s, %s %s/%s)\n", v.Version, v.Matter, v.Go, v.OS, v.Arch)
				return err
			})
		},
	}
}

func specification() string {
	const v = matter.SpecificationVersion
	return fmt.Sprintf("%d.%d.%d", v>>24, v>>16&0xFF, v>>8&0xFF)
}
