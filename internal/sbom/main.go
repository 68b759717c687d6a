// Command sbom prints the software bill of materials of a Go binary, in CycloneDX 1.6:
// the modules that are linked into it, as the binary itself lists them.
//
//	sbom NAME VERSION BINARY
//
// The time is $SOURCE_DATE_EPOCH. The same binary results in the same document.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, epoch string, w io.Writer) error {
	if len(args) != 3 {
		return errors.New("usage: sbom NAME VERSION BINARY")
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	binary, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(args[2])
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(describe(args[0], args[1], info, sha256.Sum256(binary), time.Unix(seconds, 0)))
}

// The parts of a CycloneDX document that are used here.
type (
	document struct {
		Schema       string       `json:"$schema"`
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type    string `json:"type"`
		Ref     string `json:"bom-ref"`
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl"`
		Hashes  []hash `json:"hashes,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

// describe returns the document of a binary with a checksum.
func describe(name, version string, info *debug.BuildInfo, sum [sha256.Size]byte, at time.Time) document {
	own := module("application", info.Main.Path, version)
	own.Name, own.Hashes = name, []hash{{"SHA-256", hex.EncodeToString(sum[:])}}
	list := []component{module("library", "std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		list = append(list, module("library", m.Path, m.Version))
	}
	needs := dependency{Ref: own.Ref}
	for _, c := range list {
		needs.DependsOn = append(needs.DependsOn, c.Ref)
	}
	return document{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Serial:     "urn:uuid:" + uuid(sum),
		Metadata:   metadata{Timestamp: at.UTC().Format(time.RFC3339), Component: own},
		Components: list, Dependencies: []dependency{needs},
	}
}

// module returns a Go module as a component.
func module(kind, path, version string) component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return component{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
}

// uuid makes a UUID of version 8 from a checksum (RFC 9562, section 5.8).
func uuid(sum [sha256.Size]byte) string {
	b := sum[:16]
	b[6], b[8] = b[6]&0x0F|0x80, b[8]&0x3F|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
