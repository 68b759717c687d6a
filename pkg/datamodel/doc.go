// Package datamodel holds the facts of the Matter data model: ids, names, types,
// access, qualities, constraints and conformance of clusters and device types. It
// knows no behaviour.
//
// For each cluster there is a variable of its name with everything ([OnOff]), and typed
// constants for its ids ([OnOffID], [OnOffAttrOnOff], [OnOffCmdToggle],
// [SwitchEventInitialPress]), features ([OnOffFeatureLighting]), enums and bitmaps
// ([OnOffStartUpOnOff], [LevelControlOptions]). They are generated from the files in
// the folder data.
package datamodel

//go:generate go run ../../internal/datamodelgen
