package devicesfile

import (
	"bytes"
	"encoding/json"

	"go.yaml.in/yaml/v3"

	"github.com/opcredsd/opcredsd/pkg/bridge"
)

// ParseMQTT returns the devices that the file itself describes, as JSON, by their
// keys. They are below mqtt, with the keys of Home Assistant's discovery. No source
// needs to announce them. Parse must have accepted the content.
func ParseMQTT(name string, content []byte) (map[string]json.RawMessage, error) {
	f := &file{name: name}
	var root yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&root); err != nil || len(root.Content) == 0 {
		return nil, nil
	}
	all := map[string]json.RawMessage{}
	err := f.groups(root.Content[0], func(*yaml.Node, *yaml.Node) error { return nil }, members{
		"devices": func(*yaml.Node) error { return nil }, // see Parse
		"mqtt": func(v *yaml.Node) error {
			return f.each(v, bridge.MaxDevices, func(key, v *yaml.Node) error {
				if err := bridge.CheckID("mqtt:" + key.Value); err != nil {
					return f.wrong(key, "%v", err)
				}
				if v.Kind != yaml.MappingNode {
					return f.wrong(v, "want an object, KEY: VALUE")
				}
				var x map[string]any
				if err := v.Decode(&x); err != nil {
					return f.syntax(err)
				}
				b, err := json.Marshal(x)
				if err != nil {
					return f.wrong(v, "it is nothing that JSON can hold")
				}
				all[key.Value] = b
				return nil
			})
		},
	})
	return all, err
}
