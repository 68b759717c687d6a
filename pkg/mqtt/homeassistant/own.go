package homeassistant

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/template"
)

// OwnSource is the source of the devices that the operator describes.
const OwnSource = "mqtt"

// Own contains the devices that the operator describes, by their keys. A device has
// the members of a discovery message: those of one entity with its platform, or
// components, each with its platform. Values are those of JSON, with int64 for
// integers.
type Own map[string]map[string]any

// ParseOwn parses the devices from JSON.
func ParseOwn(all map[string]json.RawMessage) (Own, error) {
	own := Own{}
	for key, b := range all {
		v, err := template.JSON(b)
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			return nil, fmt.Errorf("%s: it is no object", key)
		}
		own[key] = m
	}
	return own, nil
}

// Define replaces the operator's devices. A device that is no longer included is
// removed as if its discovery message had been cleared.
func (r *Reader) Define(now time.Time, own Own) {
	for _, key := range slices.Sorted(maps.Keys(r.own)) {
		if _, ok := own[key]; !ok {
			r.clear(now, "device", "device/"+key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		if reflect.DeepEqual(r.own[key], own[key]) {
			continue
		}
		root := ownMessage(key, own[key])
		for _, k := range slices.Sorted(maps.Keys(r.entities)) {
			if id, ok := strings.CutPrefix(k, "device/"+key+"#"); ok && root["components"].(map[string]any)[id] == nil {
				r.drop(now, r.entities[k])
			}
		}
		r.device(now, "device/"+key, newConfig(root), link.Message{Topic: key, Retained: true})
	}
	r.own = own
}

// ownMessage returns a discovery message for all entities of a device.
func ownMessage(key string, short map[string]any) map[string]any {
	said := map[string]any(newConfig(short))
	root := maps.Clone(said)
	about, _ := said["device"].(map[string]any)
	about = maps.Clone(about)
	if about == nil {
		about = map[string]any{}
	}
	about["identifiers"] = []any{key}
	if about["name"] == nil {
		about["name"] = cmp.Or(said["name"], any(key))
	}
	delete(root, "name")
	components, ok := said["components"].(map[string]any)
	if !ok { // the device is its only entity
		one := maps.Clone(root)
		delete(one, "device")
		one["name"] = nil
		id, _ := said["platform"].(string)
		components = map[string]any{cmp.Or(id, "main"): one}
		root = map[string]any{}
	}
	all := map[string]any{}
	for id, v := range components {
		if c, ok := v.(map[string]any); ok {
			c = newConfig(c)
			delete(c, "device") // it is of this one
			if c["unique_id"] == nil {
				c["unique_id"] = id
			}
			v = c
		}
		all[id] = v
	}
	root["device"], root["components"], root["origin"] = about, all, map[string]any{"name": "opcredsd"}
	return root
}

// Check returns an error if something cannot be shown.
func (own Own) Check() error {
	for _, key := range slices.Sorted(maps.Keys(own)) {
		said := newConfig(own[key])
		if _, several := said["components"].(map[string]any); !several && said["platform"] == nil {
			return fmt.Errorf("%s: it has no platform, and no components with one", key)
		}
		rec := reader.NewRecord()
		r := New(Options{Source: OwnSource}, rec)
		r.Define(time.Unix(0, 0), Own{key: own[key]})
		r.Settled(time.Unix(0, 0))
		for _, about := range slices.Sorted(maps.Keys(rec.Ignored)) {
			i := rec.Ignored[about][0]
			return fmt.Errorf("%s: %s: %s", key, i.What, i.Reason)
		}
		if len(rec.Failures) > 0 || len(rec.Devices) == 0 {
			return fmt.Errorf("%s: its components cannot be read", key)
		}
	}
	return nil
}
