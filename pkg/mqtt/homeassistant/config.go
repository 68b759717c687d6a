package homeassistant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/template"
)

// config is the configuration of one entity, with long names.
type config map[string]any

// expand replaces short names. If both forms are present, the short one wins, as in
// Home Assistant.
func expand(m map[string]any, short map[string]string) config {
	out := make(config, len(m))
	for k, v := range m {
		if _, ok := short[k]; !ok {
			out[k] = v
		}
	}
	for k, v := range m {
		if long, ok := short[k]; ok {
			out[long] = v
		}
	}
	return out
}

// newConfig expands a message or a component of one, with its nested objects.
func newConfig(m map[string]any) config {
	c := expand(m, abbreviations)
	if list, ok := c["availability"].([]any); ok {
		out := make([]any, len(list))
		for i, v := range list {
			out[i] = v
			if x, ok := v.(map[string]any); ok {
				out[i] = map[string]any(expand(x, abbreviations))
			}
		}
		c["availability"] = out
	} else if x, ok := c["availability"].(map[string]any); ok {
		c["availability"] = []any{map[string]any(expand(x, abbreviations))}
	}
	if x, ok := c["device"].(map[string]any); ok {
		c["device"] = map[string]any(expand(x, deviceAbbreviations))
	}
	if x, ok := c["origin"].(map[string]any); ok {
		c["origin"] = map[string]any(expand(x, originAbbreviations))
	}
	return c
}

// base replaces ~ at the beginning or the end of topics by the value of the key ~.
func (c config) base() {
	tilde, ok := c["~"].(string)
	if !ok {
		return
	}
	replace := func(m map[string]any) {
		for k, v := range m {
			s, ok := v.(string)
			if !ok || !strings.HasSuffix(k, "topic") {
				continue
			}
			if rest, cut := strings.CutPrefix(s, "~"); cut {
				m[k] = tilde + rest
			} else if rest, cut := strings.CutSuffix(s, "~"); cut {
				m[k] = rest + tilde
			}
		}
	}
	replace(c)
	list, _ := c["availability"].([]any)
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			replace(m)
		}
	}
}

// has reports whether a key is present and not null.
func (c config) has(key string) bool { return c[key] != nil }

// text returns an option as the string that payloads are compared with and sent as.
// true becomes True, as in Python.
func (c config) text(key, otherwise string) string {
	v, ok := c[key]
	if !ok || v == nil {
		return otherwise
	}
	return template.Text(v)
}

func (c config) number(key string, otherwise float64) float64 {
	if f, ok := reader.Number(c[key]); ok {
		return f
	}
	return otherwise
}

func (c config) truth(key string, otherwise bool) bool {
	switch v := c[key].(type) {
	case bool:
		return v
	case string:
		switch strings.ToLower(v) {
		case "true", "on", "yes", "1":
			return true
		case "false", "off", "no", "0":
			return false
		}
	}
	return otherwise
}

// texts returns a list of strings. A single string counts as a list of one.
func (c config) texts(key string) []string {
	switch v := c[key].(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, x := range v {
			if s := template.Text(x); s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

func (c config) seconds(key string) time.Duration {
	return time.Duration(reader.Clamp(c.number(key, 0), 0, 7*24*3600) * float64(time.Second))
}

// topics returns all topics of an entity except those of its availability.
func (c config) topics() (out []string) {
	for _, k := range slices.Sorted(maps.Keys(c)) {
		if s, ok := c[k].(string); ok && strings.HasSuffix(k, "topic") && k != "availability_topic" {
			out = append(out, s)
		}
	}
	return out
}

// topic returns a topic to subscribe to; empty if the key is absent.
func (c config) topic(key string) (string, error) {
	s := c.text(key, "")
	if s != "" && !reader.Filterable(s) {
		return "", fmt.Errorf("%s: %q is no topic", key, reader.Text(s))
	}
	return s, nil
}

// target returns a topic to publish to.
func (c config) target(key string) (string, error) {
	s := c.text(key, "")
	if s != "" && !reader.PublishableTopic(s) {
		return "", fmt.Errorf("%s: %q is no topic", key, reader.Text(s))
	}
	return s, nil
}

// template returns a template; nil if the key is absent.
func (c config) template(key string) (*template.Template, error) {
	s, ok := c[key].(string)
	if !ok || s == "" {
		return nil, nil
	}
	t, err := template.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return t, nil
}
