// Package scenes is the Scenes Management cluster, 0x0062 with CopyScene and names
// ("Matter Application Cluster Specification" 1.6, section 1.4): an endpoint keeps the
// values of its attributes under a group and a number, for each fabric, and returns to
// them.
package scenes
