// Package climate implements the clusters for heating, cooling and ventilation:
// Thermostat 0x0201 revision 11 and Fan Control 0x0202 revision 6 ("Matter
// Application Cluster Specification", sections 4.3 and 4.4).
package climate
