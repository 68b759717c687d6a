// Package vacuum implements the clusters of a robotic vacuum cleaner, which share
// one state: RVC Run Mode 0x0054 revision 4, RVC Clean Mode 0x0055 revision 5, RVC
// Operational State 0x0061 revision 3 and Service Area 0x0150 revision 2 ("Matter
// Application Cluster Specification", sections 7.2 to 7.4 and 1.17).
//
// The activity of the vacuum is shown when the vacuum reports it. The clean mode
// and the selected areas are only settings, and are shown at once.
package vacuum
