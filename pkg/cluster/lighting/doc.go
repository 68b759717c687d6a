// Package lighting is the clusters of lights and plugs, which share one state: On/Off
// 0x0006, Level Control 0x0008 and Color Control 0x0300 ("Matter Application Cluster
// Specification" 1.6, sections 1.5, 1.6 and 3.2).
//
// A change that takes time is asked of the device once, for the end and with the time.
// What is shown on the way is computed: most devices do not say where they are, or say it
// late. What a light that is off is told stays with the bridge until it is switched on,
// as many lamps go on when they are told a brightness or a color.
package lighting
