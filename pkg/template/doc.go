// Package template evaluates the templates in MQTT discovery messages. It
// implements the part of Jinja, as Home Assistant uses it, that publishers use in
// practice.
//
//   - Output, if/elif/else, set and comments; no loops, macros or inclusion.
//   - Expressions with Python's precedence, numbers and strings: true prints True, 21.0
//     prints 21.0, 7/2 is 3.5, {0: 'off'}[0] is 'off'.
//   - Filters, tests, functions and methods that depend only on their arguments. A
//     template has no access to files, the clock or any other state.
//
// [Parse] returns an error for anything else, which names it. The device is then
// left out with a reason instead of showing a wrong value. Source, nesting, steps
// and output are bounded.
package template
