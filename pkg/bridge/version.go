package bridge

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// raiseVersions raises the version of the configuration of each bridged device that
// controllers are about to see with other functions than before, such as with one more
// part, a battery, or a new measured value (section 9.13.5.4). A restart does not change
// it. The first version of a device is 1.
func (r *Registry) raiseVersions(now time.Time, all []*entry) {
	var raised []*entry
	for _, e := range all {
		changed, again := r.raiseVersion(e)
		if changed {
			e.dirty = true
			r.saveBy(now.Add(saveKept))
		}
		if again {
			raised = append(raised, e)
		}
	}
	if len(raised) == 0 {
		return
	}
	// A version that controllers have seen must not come again with other functions.
	err := r.update(func(tx *store.Tx) error {
		for _, e := range raised {
			if err := putRecord(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.log.Warn("the versions of devices are not stored; the bridge tries again", "error", err)
		return
	}
	for _, e := range raised {
		e.dirty = false
	}
}

// raiseVersion updates the versions of one device. It reports whether there is a new one,
// and whether it follows another: the first can be found again.
func (r *Registry) raiseVersion(e *entry) (changed, again bool) {
	for _, n := range e.assembly.Nodes {
		info := e.infos[n.Key]
		if n.Child || info == nil || !e.shown[n.Key] {
			continue
		}
		id, is := e.rec.Endpoints[n.Key], e.elements(n)
		if id.Elements == is {
			continue
		}
		changed, again = true, again || id.Version > 0
		if id.Version < math.MaxUint32 {
			id.Version++
		}
		id.Elements = is
		e.rec.Endpoints[n.Key] = id
		info.SetConfigurationVersion(id.Version)
		r.node.Touch(id.Number)
	}
	return changed, again
}

// elements returns a digest of what controllers see of a bridged device: the types and
// clusters of its endpoint, and of its parts that are shown.
func (e *entry) elements(top *device.Node) string {
	var b []byte
	number := func(v uint32) { b = binary.LittleEndian.AppendUint32(b, v) }
	for _, n := range e.assembly.Nodes {
		if n != top && (!n.Child || n.Parent != top.Key || !e.shown[n.Key]) {
			continue
		}
		b = fmt.Appendf(b, "%q %t %t %t", n.Key, n.Identify, n.Groups, n.Scenes)
		number(uint32(len(n.Types)))
		for _, t := range n.Types {
			number(uint32(t.ID))
		}
		for _, c := range n.Clusters() {
			b = c.Spec().AppendElements(b)
		}
		for _, c := range n.Other {
			b = c.Spec().AppendElements(b)
		}
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
