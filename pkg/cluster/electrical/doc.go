// Package electrical implements the clusters of a meter: Electrical Power
// Measurement 0x0090 revision 3, Electrical Energy Measurement 0x0091 revision 2
// ("Matter Application Cluster Specification", sections 2.13 and 2.12) and Power
// Topology 0x009C revision 1 (section 11.8 of the core specification).
package electrical
