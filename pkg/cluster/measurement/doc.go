// Package measurement implements the clusters of sensors for one quantity:
// Illuminance 0x0400, Temperature 0x0402, Pressure 0x0403, Flow 0x0404 and Relative
// Humidity Measurement 0x0405 ("Matter Application Cluster Specification", sections
// 2.2 to 2.6) and Soil Measurement 0x0430 (section 2.15).
package measurement
