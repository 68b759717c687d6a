package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A document that is replayed has its commands in blocks marked console. A line
// that begins with "$ " is a command, and the following lines are its output. A
// comment such as <!-- replay: pair --> stands for an action of somebody else.

// step is a command of a document, or an event.
type step struct {
	line    int // of the command, from 1
	command string
	event   string // action of somebody else
	want    []string
}

// steps returns the commands and events of a document, in order.
func steps(lines []string) (list []step) {
	inside := false
	for i, l := range lines {
		event, isEvent := strings.CutPrefix(l, "<!-- replay: ")
		command, isCommand := strings.CutPrefix(l, "$ ")
		switch {
		case l == "```console":
			inside = true
		case strings.HasPrefix(l, "```"):
			inside = false
		case isEvent:
			list = append(list, step{line: i + 1, event: strings.TrimSuffix(event, " -->")})
		case inside && isCommand:
			list = append(list, step{line: i + 1, command: command})
		case inside && len(list) > 0:
			last := &list[len(list)-1]
			last.want = append(last.want, l)
		}
	}
	return list
}

// varying matches text that differs between machines or starts; the document lists
// it. Only the first group differs, if there is one.
var varying = []struct {
	name string
	re   *regexp.Regexp
}{
	{"time", regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z`)},
	{"date", regexp.MustCompile(`20\d\d-\d\d-\d\d( \d\d:\d\d)?`)},
	{"clock", regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`)},
	{"duration", regexp.MustCompile(`\b(?:up|after)[ =]([0-9.]+(?:µs|ms|s|m|h)[0-9smh]*)`)},
	{"line", regexp.MustCompile(`config\.yaml:(\d+):`)},
	{"heard", regexp.MustCompile(`\blast heard (now|\d+ (?:s|min) ago)`)},
	{"address", regexp.MustCompile(`\bfe80::[0-9a-f:]+`)},
	{"port", regexp.MustCompile(`%eth0\]:(\d+)`)},
	{"payload", regexp.MustCompile(`MT:[0-9A-Z.-]+`)},
	{"code", regexp.MustCompile(`\b\d{4}-\d{3}-\d{4}\b`)},
	{"digits", regexp.MustCompile(`"manual": "(\d{11})"`)},
	{"discriminator", regexp.MustCompile(`"discriminator": (\d+)`)},
	{"passcode", regexp.MustCompile(`"passcode": (\d+)`)},
	{"key", regexp.MustCompile(`\b[0-9a-f]{130}\b`)},
	{"id", regexp.MustCompile(`\b[0-9A-F]{16}\b`)},
	{"subscription", regexp.MustCompile(`\bid=(\d+)`)},
	{"process", regexp.MustCompile(`\bpid=(\d+)`)},
	{"release", regexp.MustCompile(`\bopcredsd (\d+\.\d+\.\d+[0-9a-z.~+-]*)`)},
	{"go", regexp.MustCompile(`\bgo1[0-9.]+ linux/[a-z0-9]+`)},
}

// ofHost matches the checks of doctor that depend on the machine. The document
// shows a machine without problems.
var ofHost = regexp.MustCompile(`^(?:OK   |NOTE |FAULT) (container|conntrack|clock|state-dir) .*`)

// pixels matches a line of a QR code.
var pixels = regexp.MustCompile(`^[█▀▄ ]*[█▀▄][█▀▄ ]*$`)

// names gives equal varying texts equal names.
type names map[string][]string

// plain returns lines with names in place of varying texts, without QR codes and
// without the results of checks of the host.
func (n names) plain(lines []string) (out []string) {
	for _, l := range lines {
		if pixels.MatchString(l) {
			l = "<QR code>"
		}
		l = ofHost.ReplaceAllString(l, "<what doctor says of the host: $1>")
		for _, v := range varying {
			l = n.replace(l, v.name, v.re)
		}
		if k := len(out); k == 0 || l != "<QR code>" && !strings.HasPrefix(l, "<what doctor") || out[k-1] != l {
			out = append(out, l)
		}
	}
	return out
}

func (n names) replace(l, name string, re *regexp.Regexp) string {
	var b strings.Builder
	at := 0
	for _, m := range re.FindAllStringSubmatchIndex(l, -1) {
		from, to := m[0], m[1]
		if len(m) > 2 && m[2] >= 0 && name != "date" {
			from, to = m[2], m[3]
		}
		word := l[from:to]
		i := slices.Index(n[name], word)
		if i < 0 {
			i = len(n[name])
			n[name] = append(n[name], word)
		}
		fmt.Fprintf(&b, "%s<%s %d>", l[at:from], name, i+1)
		at = to
	}
	return b.String() + l[at:]
}

// clone returns a copy, for comparisons that may be repeated.
func (n names) clone() names {
	c := names{}
	for k, v := range n {
		c[k] = slices.Clone(v)
	}
	return c
}

// differences returns the lines that are only in one of two texts, or "" if there
// are none.
func differences(want, got []string) string {
	if slices.Equal(want, got) {
		return ""
	}
	var b strings.Builder
	for i := range max(len(want), len(got)) {
		w, g := "(nothing)", "(nothing)"
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			fmt.Fprintf(&b, "  document: %s\n  program:  %s\n", w, g)
		}
	}
	return b.String()
}
