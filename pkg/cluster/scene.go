package cluster

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Scene contains values of attributes that scenes store (quality S, section 7.7 of
// the core specification), each attribute at most once.
type Scene []SceneValue

// SceneValue is the value of one attribute in a scene.
type SceneValue struct {
	Cluster   matter.ClusterID
	Attribute matter.AttributeID
	Value     Number
}

// Get returns the value of an attribute. It returns false if the scene has none or
// null.
func (s Scene) Get(cl matter.ClusterID, id matter.AttributeID) (v int64, ok bool) {
	for i := range s {
		if s[i].Cluster == cl && s[i].Attribute == id {
			return s[i].Value.V, !s[i].Value.Null
		}
	}
	return 0, false
}

// Scenes are the functions of the endpoint's Scenes Management cluster that its
// units use.
type Scenes struct {
	// StoreGlobal stores the global scene of the accessing fabric.
	StoreGlobal func(r *im.Request) error
	// Global returns the global scene of the accessing fabric, and whether there is one.
	Global func(r *im.Request) (Scene, bool)
	// Watching reports whether Disturbed must be called.
	Watching func() bool
	// Disturbed is called when a value that scenes store has changed, except by
	// [Endpoint.Recall]. It must not call the Endpoint.
	Disturbed func()
}

// SetScenes sets the functions of a Scenes Management cluster.
func (e *Endpoint) SetScenes(s Scenes) { e.scenes = s }

// StoreGlobalScene stores the global scene from the state before this change. A
// full scene table is not an error.
func (c *Context) StoreGlobalScene() error {
	if c.Request == nil || c.endpoint.scenes.StoreGlobal == nil {
		return nil
	}
	return c.endpoint.scenes.StoreGlobal(c.Request)
}

// GlobalScene returns the global scene of the accessing fabric, and whether there is one.
func (c *Context) GlobalScene() (Scene, bool) {
	if c.Request == nil || c.endpoint.scenes.Global == nil {
		return nil, false
	}
	return c.endpoint.scenes.Global(c.Request)
}

// SceneAttribute returns the facts of an attribute that scenes of the endpoint
// store, or nil if they do not store it, and whether the endpoint has the cluster.
func (e *Endpoint) SceneAttribute(cl matter.ClusterID, id matter.AttributeID) (a *datamodel.Attribute, has bool) {
	for _, u := range e.units {
		if a, has := u.sceneAttribute(cl, id); has {
			return a, true
		}
	}
	return nil, false
}

// Capture returns the values for a scene of the endpoint at now. For a moving value
// it is the target.
func (e *Endpoint) Capture(now time.Time) Scene {
	var s Scene
	for _, u := range e.units {
		s = u.capture(now, s)
	}
	return s
}

// Recall recalls a scene with the transition time d. The device gets one command.
func (e *Endpoint) Recall(r *im.Request, s Scene, d time.Duration) error {
	for _, u := range e.units {
		if err := u.recall(r, s, d); err != nil {
			return err
		}
	}
	return nil
}

// rest returns the state after all movement, with the values that scenes store.
func (u *Unit[S]) rest(s *S) S {
	if u.rules.Rest != nil {
		return u.rules.Rest(s)
	}
	return *s
}

func (u *Unit[S]) sceneAttribute(cl matter.ClusterID, id matter.AttributeID) (*datamodel.Attribute, bool) {
	for _, sv := range u.served {
		if sv.cluster.facts.ID != cl {
			continue
		}
		for _, a := range sv.layout.attributes {
			if a.id == id && a.inScenes() {
				return a.facts, true
			}
		}
		return nil, true
	}
	return nil, false
}

// inScenes reports whether scenes store the attribute.
func (a *Attribute[S]) inScenes() bool {
	return a.facts.Quality.Has(datamodel.Scene) && a.number != nil && a.assign != nil
}

func (u *Unit[S]) capture(now time.Time, into Scene) Scene {
	u.live(now)
	s := u.rest(&u.state)
	for _, sv := range u.served {
		for _, a := range sv.layout.attributes {
			if a.inScenes() {
				into = append(into, SceneValue{sv.cluster.facts.ID, a.id, a.number(&s)})
			}
		}
	}
	return into
}

func (u *Unit[S]) recall(r *im.Request, s Scene, d time.Duration) error {
	var mine Scene
	for i := range s {
		if a, _ := u.sceneAttribute(s[i].Cluster, s[i].Attribute); a != nil {
			mine = append(mine, s[i])
		}
	}
	if mine == nil {
		return nil
	}
	u.recalling = true
	defer func() { u.recalling = false }()
	return u.change(r.Now, r, func(c *Context, is *S) error {
		if u.rules.Recall != nil {
			return u.rules.Recall(c, is, mine, d)
		}
		for i := range mine {
			u.attribute(mine[i].Cluster, mine[i].Attribute).assign(is, mine[i].Value)
		}
		return nil
	})
}

func (u *Unit[S]) attribute(cl matter.ClusterID, id matter.AttributeID) *Attribute[S] {
	for _, sv := range u.served {
		if sv.cluster.facts.ID == cl {
			return sv.cluster.attribute(id)
		}
	}
	return nil
}

// disturb notifies the scenes of a change of the state, which is in u.next.
func (u *Unit[S]) disturb() {
	if u.recalling || u.state == u.next || u.endpoint.scenes.Watching == nil || !u.endpoint.scenes.Watching() {
		return
	}
	was, is := u.rest(&u.state), u.rest(&u.next)
	for _, sv := range u.served {
		for _, a := range sv.layout.attributes {
			if a.inScenes() && a.number(&was) != a.number(&is) {
				u.endpoint.scenes.Disturbed()
				return
			}
		}
	}
}
