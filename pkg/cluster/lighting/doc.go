// Package lighting implements the clusters of lights and plugs, which share one
// state: On/Off 0x0006, Level Control 0x0008 and Color Control 0x0300 ("Matter
// Application Cluster Specification" 1.6, sections 1.5, 1.6 and 3.2).
//
// A gradual change is sent to the device once, with its end value and its duration.
// The values in between are computed, since most devices do not report them, or
// report them late. A brightness or a color that is set while a light is off is not
// sent until the light is switched on, since many lamps switch on when they receive
// one.
package lighting
