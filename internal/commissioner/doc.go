// Package commissioner implements a controller without discovery. It commissions,
// opens CASE sessions and uses the Interaction Model. It is for tests and
// benchmarks; production code does not import it.
//
// It shares the codecs and the message layer with the node, but not the checks of
// answers. So it has its own decoder of reports.
package commissioner
