package scenes

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.ScenesManagementID

// Bounds of the table of an endpoint (section 1.4.8.1). A fabric may use less than
// half of it, (MaxScenes - 1) / 2, so that two fabrics cannot use all of it.
const (
	MaxScenes    = 32
	MaxPerFabric = 15
)

var spec = cluster.NewSpec(datamodel.ScenesManagement, cluster.Selection{
	Features: datamodel.ScenesManagementFeatureSceneNames,
	Commands: []matter.CommandID{datamodel.ScenesManagementCmdCopyScene},
})

// Options are the dependencies of the cluster of one endpoint. Both are required.
type Options struct {
	Fabrics *fabric.Table
	// Endpoint has the attributes that scenes contain, and stores the table. It
	// must be loaded.
	Endpoint *cluster.Endpoint
}

// Cluster serves the cluster on one endpoint.
type Cluster struct {
	opt      Options
	table    []entry // sorted by key
	last     [256]current
	changes  int // number of changes of FabricSceneInfo
	reported int // number of changes that were reported
	seen     uint64
}

// current is the scene that a fabric has stored or recalled last.
type current struct {
	group matter.GroupID
	scene uint8
	known bool
	valid bool // the endpoint still matches the scene
}

// New returns the cluster of one endpoint. It returns an error if the stored table
// cannot be decoded.
func New(opt Options) (*Cluster, error) {
	c := &Cluster{opt: opt}
	if kept := opt.Endpoint.Extra(ID); kept != nil {
		var err error
		if c.table, err = decodeTable(kept); err != nil {
			return nil, fmt.Errorf("kept scenes: %w", err)
		}
	}
	opt.Endpoint.SetScenes(cluster.Scenes{
		StoreGlobal: c.storeGlobal, Global: c.global, Watching: c.watching, Disturbed: c.disturbed,
	})
	return c, nil
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Read writes an attribute.
func (c *Cluster) Read(r *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	if id == datamodel.ScenesManagementAttrSceneTableSize {
		w.Uint(t, MaxScenes)
		return nil
	}
	c.purge()
	w.StartArray(t)
	for _, f := range c.opt.Fabrics.All() {
		if own := f.Index == r.Subject.Fabric; own || !r.FabricFiltered {
			c.writeInfo(w, f.Index, own)
		}
	}
	w.End()
	return nil
}

// writeInfo writes a SceneInfoStruct. Only the fabric itself receives its
// fabric-sensitive fields.
func (c *Cluster) writeInfo(w *tlv.Writer, f matter.FabricIndex, own bool) {
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(0), uint64(c.count(f)))
	if own {
		last := c.last[f]
		if !last.known {
			last.scene = noScene
		}
		w.Uint(tlv.Context(1), uint64(last.scene))
		w.Uint(tlv.Context(2), uint64(last.group))
		w.Bool(tlv.Context(3), last.valid)
	}
	w.Uint(tlv.Context(4), uint64(c.room(f)))
	w.Uint(tlv.Context(0xFE), uint64(f))
	w.End()
}

// noScene is the id that stands for no scene.
const noScene = 0xFF

// Write answers UNSUPPORTED_WRITE.
func (c *Cluster) Write(*im.Request, matter.AttributeID, tlv.Element) error {
	return matter.StatusUnsupportedWrite
}

// Changes reports whether FabricSceneInfo has changed.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if c.reported != c.changes {
		c.reported = c.changes
		changed(datamodel.ScenesManagementAttrFabricSceneInfo)
	}
}

// purge removes the scenes of fabrics that were removed. Another fabric may have
// their index now.
func (c *Cluster) purge() {
	if g := c.opt.Fabrics.Generation(); g != c.seen {
		c.seen = g
		n := len(c.table)
		c.table = slices.DeleteFunc(c.table, func(e entry) bool {
			f := c.opt.Fabrics.Get(e.fabric)
			return f == nil || f.CompressedID != e.identity
		})
		for i := range c.last {
			if c.last[i].known && c.opt.Fabrics.Get(matter.FabricIndex(i)) == nil {
				c.last[i] = current{}
			}
		}
		if len(c.table) != n {
			c.changes++
		}
	}
}

// member reports whether the endpoint belongs to a group of the accessing fabric.
// It is true for group 0.
func (c *Cluster) member(r *im.Request, g matter.GroupID) bool {
	if g == 0 {
		return true
	}
	f := c.opt.Fabrics.Get(r.Subject.Fabric)
	if f == nil {
		return false
	}
	for i := range f.Groups {
		if f.Groups[i].ID == g {
			return slices.Contains(f.Groups[i].Endpoints, r.Endpoint)
		}
	}
	return false
}

// Left removes the scenes of a group that the endpoint has left (section 1.3.7.4).
// If all is true, it removes the scenes of all groups and of group 0.
func (c *Cluster) Left(f matter.FabricIndex, g matter.GroupID, all bool) error {
	return c.remove(f, func(k key) bool { return all || k.group == g })
}

// storeGlobal stores the global scene of the accessing fabric. A full table must
// not prevent a light from being switched off.
func (c *Cluster) storeGlobal(r *im.Request) error {
	err := c.store(r, key{r.Subject.Fabric, 0, 0})
	if st := matter.StatusSuccess; errors.As(err, &st) {
		return nil
	}
	return err
}

// global returns the global scene of the accessing fabric.
func (c *Cluster) global(r *im.Request) (cluster.Scene, bool) {
	c.purge()
	if i, ok := c.find(key{r.Subject.Fabric, 0, 0}); ok {
		return c.table[i].values, true
	}
	return nil, false
}

func (c *Cluster) watching() bool {
	return slices.ContainsFunc(c.last[:], func(x current) bool { return x.valid })
}

// disturbed marks all current scenes as no longer valid.
func (c *Cluster) disturbed() {
	for i := range c.last {
		c.last[i].valid = false
	}
	c.changes++
}

// arrived records that the endpoint matches a scene of one fabric.
func (c *Cluster) arrived(k key) {
	c.disturbed()
	c.last[k.fabric] = current{group: k.group, scene: k.scene, known: true, valid: true}
}

// store stores the current values under a key. An existing scene keeps its name and
// its transition time.
func (c *Cluster) store(r *im.Request, k key) error {
	e := entry{key: k}
	if i, ok := c.find(k); ok {
		e = c.table[i]
	}
	e.values = c.opt.Endpoint.Capture(r.Now)
	if err := c.put(e); err != nil {
		return err
	}
	c.arrived(k)
	return nil
}

// recall applies a scene to the endpoint.
func (c *Cluster) recall(r *im.Request, k key, ms cluster.Null[uint32]) error {
	i, ok := c.find(k)
	if !ok {
		return matter.StatusNotFound
	}
	e := &c.table[i]
	d := time.Duration(ms.Or(e.transition)) * time.Millisecond
	if err := c.opt.Endpoint.Recall(r, e.values, d); err != nil {
		return err
	}
	c.arrived(k)
	return nil
}
