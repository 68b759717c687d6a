// Package commissioner is the other side: a controller that finds nothing by
// itself but pairs, opens CASE sessions and speaks the Interaction Model. It is
// for tests and benchmarks; no production code imports it.
//
// It shares the codecs and the message layer with the node. What it must not
// share is the judgement of answers, which is why it decodes reports by itself.
package commissioner
