// Package lighting is the clusters of lights and plugs, which share one state: On/Off
// 0x0006 revision 6 ("Matter Application Cluster Specification" 1.6, section 1.5).
package lighting
