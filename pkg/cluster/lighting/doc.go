// Package lighting is the clusters of lights and plugs, which share one state: On/Off
// 0x0006 ("Matter Application Cluster Specification", section 1.5).
package lighting
