// Package scenes implements the Scenes Management cluster, 0x0062 with CopyScene
// and names ("Matter Application Cluster Specification" 1.6, section 1.4). An
// endpoint stores the values of its attributes under a group and a number, for each
// fabric, and restores them on request.
package scenes
