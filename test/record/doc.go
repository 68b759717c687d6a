// Command record keeps what real daemons show at /metrics while something happens to them:
// hubs that are switched off, restarts, a broker that goes, a source that does not answer.
// test/packaging holds the alerts to what was recorded.
//
// The file that is there was recorded with a sixty-two minute run and, for the plays
// "given-up" and "unplugged", with one of 25 minutes (-for 25m -only 'given-up|unplugged').
//
// Each gateway is a daemon in a network namespace of its own, scraped every 15 seconds for
// an hour, all at the same time. A scrape goes to a file of the gateway below -raw as it
// is. With -convert, the metrics that the alerts use become
// test/packaging/testdata/recorded.yaml, in the notation of "promtool test rules". Times
// are counted from the beginning of the recording, as a test begins at the epoch.
//
//	go run ./test/record -raw DIR
//	go run ./test/record -raw DIR -convert
package main
