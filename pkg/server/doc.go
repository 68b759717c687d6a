// Package server puts the node together: it opens the store, binds the sockets,
// builds the clusters, and owns the one goroutine on which all protocol state
// lives.
//
// [New] opens and binds, [Server.Start] serves, [Server.Stop] takes everything
// down in the reverse order and may be called at any time. [Server.Run] does
// all of it for a program.
//
//	srv, err := server.New(server.Options{StateDir: dir, Log: log})
//	if err != nil {
//		return err
//	}
//	return srv.Run(ctx, nil)
//
// A program that holds the node asks it by [Server.Operator], which is what the
// daemon's commands ask by its admin socket. [Offline] is the store of a node that
// does not run.
//
// No rule of the specification stands here: handlers below change state, and
// after every event settle compares what changed and derives the effects.
package server
