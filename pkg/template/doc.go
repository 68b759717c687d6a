// Package template evaluates the templates that discovery messages of MQTT carry: the
// part of Jinja, as Home Assistant uses it, that publishers are seen to use.
//
//   - Output, if/elif/else, set and comments; no loops, macros or inclusion.
//   - Expressions with Python's precedence, numbers and texts: true prints True, 21.0
//     prints 21.0, 7/2 is 3.5, {0: 'off'}[0] is 'off'.
//   - Filters, tests, functions and methods that need nothing but their arguments. A
//     template can read no file, no clock and no state but what it is given.
//
// What is outside of this is an error of [Parse] that names it, so that a device is
// left out with a reason instead of showing a wrong value. Source, nesting, steps and
// output are bounded.
package template
