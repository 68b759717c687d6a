package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// release and commit are set by the linker when a release is built.
var release, commit = "", ""

// version returns the release, or what the build knows about its source.
func version() string {
	if release != "" {
		return release
	}
	if r := revision(); len(r) >= 12 {
		return "0.0.0-" + r[:12]
	}
	return "0.0.0-dev"
}

// revision returns the commit that was built, or "" if the build does not know it.
func revision() string {
	if commit != "" {
		return commit
	}
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

func versionLine() string {
	from := ""
	if r := revision(); len(r) >= 12 && !strings.Contains(version(), r[:12]) {
		from = "revision " + r[:12] + ", "
	}
	return fmt.Sprintf("opcredsd %s (%sMatter %s, %s %s/%s)", version(), from, specification(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func newVersion(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Revision string `json:"revision,omitempty"` // of the source, if the build knows it
				Go       string `json:"go"`
				OS       string `json:"os"`
				Arch     string `json:"arch"`
				Matter   string `json:"matter"`
			}{version(), revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH, specification()}
			return c.print(v, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, versionLine())
				return err
			})
		},
	}
}

func specification() string {
	const v = matter.SpecificationVersion
	return fmt.Sprintf("%d.%d.%d", v>>24, v>>16&0xFF, v>>8&0xFF)
}
