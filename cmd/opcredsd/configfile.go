package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxConfig bounds the configuration file, in octets.
const maxConfig = 1 << 20

// readConfig reads a configuration file into texts by the flag that they set. "" is
// an empty one.
func readConfig(file string, known []string) (map[string]setting, error) {
	if file == "" {
		return nil, nil
	}
	b, err := readBounded(file, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, syntaxError(file, err)
	}
	if doc.Kind == 0 {
		return nil, nil // empty
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return nil, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("config: %s:%d: settings are lines of the form \"key: value\"", file, top.Line)
	}
	out := map[string]setting{}
	for i := 0; i < len(top.Content); i += 2 {
		if err := readSetting(file, top.Content[i], top.Content[i+1], known, out); err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
	}
	return out, nil
}

// readSetting reads a key and its value into out.
func readSetting(file string, key, value *yaml.Node, known []string, out map[string]setting) error {
	place := fmt.Sprintf("%s:%d", file, key.Line)
	if key.Kind != yaml.ScalarNode {
		return fmt.Errorf("%s: settings are lines of the form \"key: value\"", place)
	}
	at := place + ": " + key.Value
	i := slices.IndexFunc(known, func(flag string) bool { return keyName(flag) == key.Value })
	if i < 0 {
		keys := make([]string, len(known))
		for i, flag := range known {
			keys[i] = keyName(flag)
		}
		return fmt.Errorf("%s: unknown key %q%s", place, key.Value, meant(key.Value, keys))
	}
	if before, twice := out[known[i]]; twice {
		return fmt.Errorf("%s: it is there twice, also in %s", at, before.origin)
	}
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	s := setting{origin: at}
	items := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		items, s.list = value.Content, true
	}
	for _, n := range items {
		if n.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s: must be a value or a list of values", at)
		}
		if n.Tag != "!!null" {
			s.values = append(s.values, n.Value)
		}
	}
	out[known[i]] = s
	return nil
}

// yamlError is the form of the library's errors. It leaves the first line out.
var yamlError = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)`)

// syntaxError returns an error of the YAML library with the place in the file.
func syntaxError(file string, err error) error {
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Errorf("config: %s: %w", file, err)
	}
	line := m[1]
	if line == "" {
		line = "1"
	}
	return fmt.Errorf("config: %s:%s: %s", file, line, m[2])
}

// readBounded reads a file of at most limit octets.
func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d octets", file, limit)
	}
	return b, err
}
