// Package web serves the page for browsers: pairing, devices with their live state,
// fabrics, health and the log.
//
// Pages are made here, from html/template; a browser needs no script to use them. With
// the script, what a page shows follows the node by server-sent events. Everything is
// embedded: nothing is fetched from another host.
//
// Nothing is shown without a session. A one-time token begins one; see [Page.NewToken].
// Changes go through the functions of an [admin.Operator], as those of the command line do.
package web
