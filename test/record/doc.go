// Command record records the metrics of real daemons while something happens to them: hubs
// are switched off, daemons restart, a broker disappears, a source does not answer. The
// tests of the alerts in test/packaging use the recording.
//
// The stored recording is from a run of 62 minutes and, for the plays "given-up" and
// "unplugged", from one of 25 minutes (-for 25m -only 'given-up|unplugged').
//
// Each gateway is a daemon in its own network namespace. All run at the same time, and each
// is scraped every 15 seconds for an hour. The scrapes are stored unchanged in a file for
// each gateway below -raw. With -convert, the metrics that the alerts use are written to
// test/packaging/testdata/recorded.yaml, in the notation of "promtool test rules". Times
// count from the beginning of the recording, as a test begins at the epoch.
//
//	go run ./test/record -raw DIR
//	go run ./test/record -raw DIR -convert
package main
