// Package server is a node with what surrounds it: it opens the store, binds the
// sockets, makes the node of package node over them, and serves HTTP and the operator.
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
package server
