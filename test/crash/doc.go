// Package crash holds the proof that no kill, power cut or full disk brings the
// state of opcredsd to a half: whatever happens, the fabrics are those from
// before a command or those from after it, and those from after it once it was
// answered. Everything is behind the build tag crash; README.md says what it
// shows and how to run it.
package crash
