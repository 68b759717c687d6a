// Package web serves the page for browsers: pairing, devices with their live state,
// fabrics, health and the log.
//
// The server renders the pages with html/template, so they work without a script.
// The script updates an open page by server-sent events. Everything is embedded; a
// page loads nothing from other hosts.
//
// Every page requires a session. A one-time token starts one; see [Page.NewURL].
// Changes use the functions of an [admin.Operator], as those of the command line
// do.
package web
