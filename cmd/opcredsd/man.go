//go:build man

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// The manual pages are made by a binary that only the build has: "go run -tags man
// ./cmd/opcredsd man DIR CONFIG".

func init() { buildCommands = append(buildCommands, newMan) }

// manual is the name of the collection that the pages belong to.
const manual = "opcredsd"

// newMan returns the command that writes the manual pages, for packagers.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR CONFIG",
		Short:  "Write the manual pages into a directory; CONFIG is the shipped configuration file",
		Hidden: true,
		Args:   exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			// The default must not depend on this machine's environment.
			root.PersistentFlags().Lookup("state-dir").DefValue = systemStateDir
			if err := writeCommands(root, args[0]); err != nil {
				return err
			}
			return writeSettings(args[1], filepath.Join(args[0], "opcredsd.yaml.5"))
		},
	}
}

// writeCommands writes the page of cmd and those of the commands below it.
func writeCommands(cmd *cobra.Command, dir string) error {
	if cmd.Name() == "completion" {
		cmd.RemoveCommand(cmd.Commands()...) // one page for all shells
	}
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" {
			continue
		}
		if err := writeCommands(sub, dir); err != nil {
			return err
		}
	}
	cmd.DisableAutoGenTag = true
	var page bytes.Buffer
	if err := doc.GenMan(cmd, &doc.GenManHeader{Section: "8", Source: "opcredsd " + version(), Manual: manual}, &page); err != nil {
		return err
	}
	before, after, found := strings.Cut(page.String(), ".SH SEE ALSO\n")
	text := before + common8
	if found {
		text += ".SH SEE ALSO\n" + strings.TrimSuffix(after, "\n") + ", \n"
	} else {
		text += ".SH SEE ALSO\n"
	}
	text += "\\fBopcredsd.yaml(5)\\fP\n"
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".8"
	return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
}

// common8 are the sections that all commands have in common.
const common8 = `.SH EXIT STATUS
.TP
\fB0\fP
Done.
.TP
\fB1\fP
It failed. The error is one line on the standard error.
.TP
\fB2\fP
The command line or the configuration is wrong. The error has the place, the value and what is allowed.
.TP
\fB3\fP
The daemon cannot be reached.
.SH ENVIRONMENT
.TP
\fBOPCREDSD_CONFIG\fP
The configuration file, if there is no \fB\-\-config\fP. An empty value means none.
.TP
\fBOPCREDSD_\fP\fISETTING\fP
Each setting of \fBopcredsd.yaml\fP(5), in capital letters: \fBOPCREDSD_STATE_DIR\fP. A flag takes precedence over it, and it takes precedence over the file.
.TP
\fBSTATE_DIRECTORY\fP, \fBRUNTIME_DIRECTORY\fP
Where the store and the sockets are by default, as \fBsystemd.exec\fP(5) sets them.
.TP
\fBCREDENTIALS_DIRECTORY\fP
Where the credential \fBdac\-key\fP is, the key of the device attestation certificate.
.TP
\fBTERM\fP, \fBLC_ALL\fP, \fBLC_CTYPE\fP, \fBLANG\fP, \fBNO_COLOR\fP
How QR codes are drawn: in ASCII if the terminal is dumb or the locale is not UTF\-8.
.SH FILES
.TP
\fI/etc/opcredsd/config.yaml\fP
The settings. \fI/etc/opcredsd/NAME.yaml\fP has those of \fBopcredsd@NAME.service\fP.
.TP
\fI/etc/opcredsd/devices.yaml\fP
Names, rooms and types of bridged devices.
.TP
\fI/var/lib/opcredsd/opcredsd.db\fP
The store: fabrics, keys, attestation material, bridged devices.
.TP
\fI/run/opcredsd/admin.sock\fP
Where the commands reach the daemon.
.TP
\fI/run/opcredsd/bridge.sock\fP
Where programs add devices, by HTTP.
`

// writeSettings makes the page of the configuration file from its comments.
func writeSettings(config, page string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, ".TH OPCREDSD.YAML 5 \"\" \"opcredsd %s\" \"%s\"\n", version(), manual)
	b.WriteString(".SH NAME\nopcredsd.yaml \\- settings of opcredsd\n.SH SYNOPSIS\n.I /etc/opcredsd/config.yaml\n")
	paragraphs := strings.Split(strings.TrimSpace(string(text)), "\n\n")
	b.WriteString(".SH DESCRIPTION\n")
	inSettings := false
	for _, p := range paragraphs {
		words, settings := splitSettings(p)
		if len(settings) > 0 && !inSettings {
			inSettings = true
			b.WriteString(".SH SETTINGS\nWhat the shipped file has commented out shows the default.\n")
		}
		for i, s := range settings {
			tag := ".TP\n"
			if i > 0 {
				tag = ".TQ\n"
			}
			key, value, _ := strings.Cut(s, ": ")
			fmt.Fprintf(&b, "%s\\fB%s:\\fP %s\n", tag, roff(key), roff(value))
		}
		if len(settings) == 0 {
			b.WriteString(".PP\n")
		}
		for _, w := range words {
			b.WriteString(roff(w) + "\n")
		}
	}
	b.WriteString(".SH SEE ALSO\n\\fBopcredsd(8)\\fP, \\fBopcredsd\\-run(8)\\fP, \\fBopcredsd\\-config(8)\\fP\n")
	return os.WriteFile(page, []byte(b.String()), 0o644)
}

// splitSettings separates the comments of a paragraph of the file from its settings,
// which may be commented out.
func splitSettings(paragraph string) (words, settings []string) {
	for line := range strings.Lines(paragraph) {
		line = strings.TrimSuffix(line, "\n")
		if comment, ok := strings.CutPrefix(line, "# "); ok || line == "#" {
			if line == "#" {
				comment = ""
			}
			words = append(words, comment)
			continue
		}
		settings = append(settings, strings.TrimPrefix(line, "#"))
	}
	return words, settings
}

// roff escapes what the formatter would take for its own.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(line)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	if line == "" {
		return ".PP"
	}
	return line
}
