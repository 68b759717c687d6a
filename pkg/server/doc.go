// Package server runs a complete node. It opens the store, binds the sockets,
// creates the node of package node, and serves HTTP.
//
// [New] opens and binds, [Server.Start] serves, and [Server.Stop] closes everything
// in the reverse order. Stop may be called at any time. [Server.Run] does all three
// for a program.
//
//	srv, err := server.New(server.Options{StateDir: dir, Log: log})
//	if err != nil {
//		return err
//	}
//	return srv.Run(ctx, nil)
//
// A program that embeds the node uses [Server.Operator] for an operator's requests.
// The daemon's commands send the same requests over the admin socket. Package operator
// answers them, also from the store of a node that is not running.
package server
