package clustertest

import (
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// verdicts holds elements against their conformance, and gathers those that are choices
// between several.
type verdicts struct {
	env        datamodel.Env
	overriding datamodel.Env // for what a device type says
	of         string        // whose elements they are

	problems []string
	choices  []choice
}

// choice is a group of which some number must be there.
type choice struct {
	datamodel.Choice
	have int
}

// said is what is said of an element, by its cluster or by a device type.
type said struct {
	datamodel.Conformance
	byType bool
}

// add checks one element by all that is said of it: it must be there if one says so, and
// must not if one says so.
func (v *verdicts) add(name string, has bool, all []said) {
	for _, c := range all {
		env := v.env
		if c.byType {
			env = v.overriding
		}
		switch verdict := c.Evaluate(env); {
		case verdict == datamodel.Mandatory && !has:
			v.problems = append(v.problems, fmt.Sprintf("%s: %s is missing (%q)", v.of, name, c.Conformance))
		case (verdict == datamodel.Disallowed || verdict == datamodel.Provisional) && has:
			v.problems = append(v.problems, fmt.Sprintf("%s: %s is %s (%q)", v.of, name, verdict, c.Conformance))
		case verdict == datamodel.Optional:
			v.choose(c.Choice(env), has)
		}
	}
}

func (v *verdicts) choose(ch datamodel.Choice, has bool) {
	if ch.Group == "" {
		return
	}
	i := slices.IndexFunc(v.choices, func(x choice) bool { return x.Group == ch.Group })
	if i < 0 {
		i = len(v.choices)
		v.choices = append(v.choices, choice{Choice: ch})
	}
	if has {
		v.choices[i].have++
	}
}

// end returns the problems of the elements that were added since the last end.
func (v *verdicts) end() []string {
	for _, x := range v.choices {
		if x.have < x.Min || x.have > x.Min && !x.More {
			v.problems = append(v.problems, fmt.Sprintf("%s: of the choice %q there are %d", v.of, x.Group, x.have))
		}
	}
	problems := v.problems
	v.problems, v.choices = nil, nil
	return problems
}
