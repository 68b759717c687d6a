package device

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// buttonTags are words for buttons, and positionTags are words for any part.
var (
	buttonTags = map[string]Tag{
		"on": {Tag: datamodel.TagSwitchesOn}, "off": {Tag: datamodel.TagSwitchesOff}, "toggle": {Tag: datamodel.TagSwitchesToggle},
		"up": {Tag: datamodel.TagSwitchesUp}, "down": {Tag: datamodel.TagSwitchesDown},
		"next": {Tag: datamodel.TagSwitchesNext}, "previous": {Tag: datamodel.TagSwitchesPrevious}, "prev": {Tag: datamodel.TagSwitchesPrevious},
		"open": {Tag: datamodel.TagSwitchesOpen}, "close": {Tag: datamodel.TagSwitchesClose}, "stop": {Tag: datamodel.TagSwitchesStop},
	}
	positionTags = map[string]Tag{
		"left": {Tag: datamodel.TagCommonPositionLeft}, "right": {Tag: datamodel.TagCommonPositionRight},
		"top": {Tag: datamodel.TagCommonPositionTop}, "bottom": {Tag: datamodel.TagCommonPositionBottom},
		"middle": {Tag: datamodel.TagCommonPositionMiddle}, "center": {Tag: datamodel.TagCommonPositionMiddle},
	}
)

// lastNumber is the highest tag of the namespace Common Number.
const lastNumber = int(datamodel.TagCommonNumberThirty)

// tagLabelLen is the maximum length of a tag's label in octets (section 9.5.5.3 of
// the core specification).
const tagLabelLen = 64

// tag gives different tags to siblings that share a device type (section 9.5.4.1 of
// the core specification). The tag is the word or number in the part's id or name,
// or else its position.
func tag(siblings []*Node) {
	var alike []*Node
	for i, n := range siblings {
		for j, other := range siblings {
			if i != j && sharesType(n, other) {
				alike = append(alike, n)
				break
			}
		}
	}
	given := map[Tag]bool{}
	for _, n := range alike {
		if t, ok := wordTag(n.Part); ok && !given[t] {
			given[t] = true
			n.Tags = []Tag{t}
		}
	}
	numbers := numbersOf(alike)
	for i, n := range alike {
		if n.Tags == nil {
			n.Tags = numberTags(numbers[i])
		}
		if l := n.Part.Name; len(l) <= tagLabelLen {
			n.Tags[0].Label = l
		}
	}
}

func sharesType(a, b *Node) bool {
	return slices.ContainsFunc(a.Types, func(t TypeID) bool { return slices.Contains(b.Types, t) })
}

// wordTag returns the tag for the word in a part's id or name.
func wordTag(p *Part) (t Tag, ok bool) {
	for _, word := range []string{p.ID, p.Name} {
		word = strings.ToLower(word)
		if t, ok = buttonTags[word]; ok && p.Type == "generic_switch" {
			t.Namespace = datamodel.NamespaceSwitches
			return t, true
		}
		if t, ok = positionTags[word]; ok {
			t.Namespace = datamodel.NamespaceCommonPosition
			return t, true
		}
	}
	return Tag{}, false
}

// numbersOf returns a number for each node: its id if all ids are different numbers
// from 1 on, or else its position.
func numbersOf(nodes []*Node) []int {
	byID, byPlace := make([]int, len(nodes)), make([]int, len(nodes))
	good := true
	for i, n := range nodes {
		byPlace[i] = i + 1
		if n.Tags == nil {
			v, err := strconv.Atoi(n.Key)
			good = good && err == nil && v >= 1 && v <= lastNumber && !slices.Contains(byID, v)
			byID[i] = v
		}
	}
	if good {
		return byID
	}
	return byPlace
}

// numberTags returns the tags of a number. A number above thirty is the sum of two.
func numberTags(n int) (tags []Tag) {
	for ; n > lastNumber; n -= lastNumber {
		tags = append(tags, Tag{Namespace: datamodel.NamespaceCommonNumber, Tag: uint8(lastNumber)})
	}
	return append(tags, Tag{Namespace: datamodel.NamespaceCommonNumber, Tag: uint8(n)})
}
