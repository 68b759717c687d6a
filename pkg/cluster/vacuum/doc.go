// Package vacuum is the clusters of a robotic vacuum cleaner, over one state: RVC Run Mode
// 0x0054 revision 4, RVC Clean Mode 0x0055 revision 5, RVC Operational State 0x0061
// revision 3 and Service Area 0x0150 revision 2 ("Matter Application Cluster
// Specification", sections 7.2 to 7.4 and 1.17).
//
// What the vacuum does is shown when it says so. How it is to clean, and where, is shown at
// once, as no more than a setting.
package vacuum
