package scenes

import (
	"errors"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	maxTransition = 60_000_000 // milliseconds
	maxName       = 16         // octets
)

// The fields of the commands. Decoding does not check ranges, since the response
// reports such errors, where there is one.
type (
	addScene struct {
		GroupID                  matter.GroupID
		SceneID                  uint8  `cluster:"unchecked"`
		TransitionTime           uint32 `cluster:"unchecked"`
		SceneName                string `cluster:"unchecked"`
		ExtensionFieldSetStructs []fieldSet
	}
	oneScene struct {
		GroupID matter.GroupID
		SceneID uint8 `cluster:"unchecked"`
	}
	oneGroup struct {
		GroupID matter.GroupID
	}
	recallScene struct {
		GroupID        matter.GroupID
		SceneID        uint8
		TransitionTime cluster.Opt[cluster.Null[uint32]]
	}
	copyScene struct {
		Mode                datamodel.ScenesManagementCopyMode `cluster:"unchecked"`
		GroupIdentifierFrom matter.GroupID
		SceneIdentifierFrom uint8 `cluster:"unchecked"`
		GroupIdentifierTo   matter.GroupID
		SceneIdentifierTo   uint8 `cluster:"unchecked"`
	}
)

var (
	decodeAdd        = cluster.Decoder[addScene](datamodel.ScenesManagement, datamodel.ScenesManagementCmdAddScene)
	decodeView       = cluster.Decoder[oneScene](datamodel.ScenesManagement, datamodel.ScenesManagementCmdViewScene)
	decodeRemove     = cluster.Decoder[oneScene](datamodel.ScenesManagement, datamodel.ScenesManagementCmdRemoveScene)
	decodeRemoveAll  = cluster.Decoder[oneGroup](datamodel.ScenesManagement, datamodel.ScenesManagementCmdRemoveAllScenes)
	decodeStore      = cluster.Decoder[oneScene](datamodel.ScenesManagement, datamodel.ScenesManagementCmdStoreScene)
	decodeRecall     = cluster.Decoder[recallScene](datamodel.ScenesManagement, datamodel.ScenesManagementCmdRecallScene)
	decodeMembership = cluster.Decoder[oneGroup](datamodel.ScenesManagement, datamodel.ScenesManagementCmdGetSceneMembership)
	decodeCopy       = cluster.Decoder[copyScene](datamodel.ScenesManagement, datamodel.ScenesManagementCmdCopyScene)
)

// Invoke executes a command.
func (c *Cluster) Invoke(r *im.Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	c.purge()
	switch id {
	case datamodel.ScenesManagementCmdAddScene:
		return with(decodeAdd, fields, func(f *addScene) error { return respond(w, c.add(r, f), f.GroupID, f.SceneID) })
	case datamodel.ScenesManagementCmdViewScene:
		return with(decodeView, fields, func(f *oneScene) error { return c.view(r, f, w) })
	case datamodel.ScenesManagementCmdRemoveScene:
		return with(decodeRemove, fields, func(f *oneScene) error { return respond(w, c.removeOne(r, f), f.GroupID, f.SceneID) })
	case datamodel.ScenesManagementCmdRemoveAllScenes:
		return with(decodeRemoveAll, fields, func(f *oneGroup) error { return respondGroup(w, c.removeAll(r, f), f.GroupID) })
	case datamodel.ScenesManagementCmdStoreScene:
		return with(decodeStore, fields, func(f *oneScene) error { return respond(w, c.storeOne(r, f), f.GroupID, f.SceneID) })
	case datamodel.ScenesManagementCmdRecallScene:
		return with(decodeRecall, fields, func(f *recallScene) error { return c.recallOne(r, f) })
	case datamodel.ScenesManagementCmdGetSceneMembership:
		return with(decodeMembership, fields, func(f *oneGroup) error { return c.membership(r, f, w) })
	}
	return with(decodeCopy, fields, func(f *copyScene) error {
		return respond(w, c.copy(r, f), f.GroupIdentifierFrom, f.SceneIdentifierFrom)
	})
}

// with decodes the fields of a command and executes it.
func with[F any](decode func(tlv.Element) (F, error), fields tlv.Element, run func(*F) error) error {
	f, err := decode(fields)
	if err != nil {
		return err
	}
	return run(&f)
}

// respondGroup writes the status and the group of a response. Only a failure of the
// node itself returns a status of the Interaction Model.
func respondGroup(w *tlv.Writer, err error, g matter.GroupID) error {
	st := matter.StatusSuccess
	if err != nil && !errors.As(err, &st) {
		return err
	}
	w.Uint(tlv.Context(0), uint64(st))
	w.Uint(tlv.Context(1), uint64(g))
	return nil
}

// respond writes a response for one scene.
func respond(w *tlv.Writer, err error, g matter.GroupID, scene uint8) error {
	if err := respondGroup(w, err, g); err != nil {
		return err
	}
	w.Uint(tlv.Context(2), uint64(scene))
	return nil
}

// check checks the group and the scene of a command.
func (c *Cluster) check(r *im.Request, g matter.GroupID, scene uint8) (key, error) {
	switch {
	case scene == noScene:
		return key{}, matter.StatusConstraintError
	case !c.member(r, g):
		return key{}, matter.StatusInvalidCommand
	}
	return key{r.Subject.Fabric, g, scene}, nil
}

// add handles AddScene (section 1.4.9.2).
func (c *Cluster) add(r *im.Request, f *addScene) error {
	if f.TransitionTime > maxTransition || len(f.SceneName) > maxName || !utf8.ValidString(f.SceneName) {
		return matter.StatusConstraintError
	}
	k, err := c.check(r, f.GroupID, f.SceneID)
	if err != nil {
		return err
	}
	values, err := c.values(f.ExtensionFieldSetStructs)
	if err != nil {
		return err
	}
	return c.put(entry{key: k, name: f.SceneName, transition: f.TransitionTime, values: values})
}

// view handles ViewScene (section 1.4.9.4).
func (c *Cluster) view(r *im.Request, f *oneScene, w *tlv.Writer) error {
	k, err := c.check(r, f.GroupID, f.SceneID)
	i, found := c.find(k)
	if err == nil && !found {
		err = matter.StatusNotFound
	}
	if e := respond(w, err, f.GroupID, f.SceneID); err != nil || e != nil {
		return e
	}
	e := &c.table[i]
	w.Uint(tlv.Context(3), uint64(e.transition))
	w.Text(tlv.Context(4), e.name)
	c.writeFieldSets(w, tlv.Context(5), e.values)
	return nil
}

// removeOne handles RemoveScene (section 1.4.9.6).
func (c *Cluster) removeOne(r *im.Request, f *oneScene) error {
	k, err := c.check(r, f.GroupID, f.SceneID)
	if err != nil {
		return err
	}
	if _, found := c.find(k); !found {
		return matter.StatusNotFound
	}
	return c.remove(k.fabric, func(x key) bool { return x == k })
}

// removeAll handles RemoveAllScenes (section 1.4.9.8).
func (c *Cluster) removeAll(r *im.Request, f *oneGroup) error {
	if !c.member(r, f.GroupID) {
		return matter.StatusInvalidCommand
	}
	return c.remove(r.Subject.Fabric, func(x key) bool { return x.group == f.GroupID })
}

// storeOne handles StoreScene (section 1.4.9.10).
func (c *Cluster) storeOne(r *im.Request, f *oneScene) error {
	k, err := c.check(r, f.GroupID, f.SceneID)
	if err != nil {
		return err
	}
	return c.store(r, k)
}

// recallOne handles RecallScene (section 1.4.9.12).
func (c *Cluster) recallOne(r *im.Request, f *recallScene) error {
	k, err := c.check(r, f.GroupID, f.SceneID)
	if err != nil {
		return err
	}
	return c.recall(r, k, f.TransitionTime.V)
}

// membership handles GetSceneMembership (section 1.4.9.13).
func (c *Cluster) membership(r *im.Request, f *oneGroup, w *tlv.Writer) error {
	member := c.member(r, f.GroupID)
	st := matter.StatusSuccess
	if !member {
		st = matter.StatusInvalidCommand
	}
	w.Uint(tlv.Context(0), uint64(st))
	if member {
		w.Uint(tlv.Context(1), uint64(c.room(r.Subject.Fabric)))
	} else {
		w.Null(tlv.Context(1))
	}
	w.Uint(tlv.Context(2), uint64(f.GroupID))
	if !member {
		return nil
	}
	w.StartArray(tlv.Context(3))
	for i := range c.table {
		if e := &c.table[i]; e.fabric == r.Subject.Fabric && e.group == f.GroupID {
			w.Uint(tlv.Anonymous, uint64(e.scene))
		}
	}
	w.End()
	return nil
}

// copy handles CopyScene (section 1.4.9.15).
func (c *Cluster) copy(r *im.Request, f *copyScene) error {
	all := f.Mode&datamodel.ScenesManagementCopyModeCopyAllScenes != 0
	sceneFrom, sceneTo := f.SceneIdentifierFrom, f.SceneIdentifierTo
	if all { // they are to be ignored
		sceneFrom, sceneTo = 0, 0
	}
	from, err := c.check(r, f.GroupIdentifierFrom, sceneFrom)
	if err != nil {
		return err
	}
	to, err := c.check(r, f.GroupIdentifierTo, sceneTo)
	if err != nil {
		return err
	}
	var copies []entry
	for _, e := range c.table {
		switch {
		case all && e.fabric == from.fabric && e.group == from.group:
			e.group = to.group
		case !all && e.key == from:
			e.key = to
		default:
			continue
		}
		copies = append(copies, e)
	}
	switch {
	case len(copies) > 0:
		return c.put(copies...)
	case all:
		return nil
	}
	return matter.StatusNotFound
}
