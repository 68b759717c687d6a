package admin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// route is a verb as an HTTP request.
type route struct {
	method, path string
	audit        string
	readable     bool // served by ReadHandler too
	serve        func(r *http.Request, log *slog.Logger) (any, error)
	stream       func(ctx context.Context, w io.Writer) error // in place of serve, if the answer is not JSON
	connect      func(c *Client)                              // sets the function to one that asks a daemon
	otherwise    func(err error)                              // sets a nil function to one that returns err
	audited      func(log *slog.Logger)                       // sets the function of a change to one that logs it
}

// readable marks a route that reveals no secret and changes nothing.
func readable(r route) route {
	r.readable = true
	return r
}

// form is how the request of a verb is encoded.
type form[In any] struct {
	encode func(path string, in In) (string, any)
	decode func(r *http.Request) (In, error)
}

type none struct{}

var nothing = form[none]{
	encode: func(path string, _ none) (string, any) { return path, nil },
	decode: func(*http.Request) (none, error) { return none{}, nil },
}

// object is the body of a request, a JSON object.
func object[In any]() form[In] {
	return form[In]{
		encode: func(path string, in In) (string, any) { return path, in },
		decode: func(r *http.Request) (in In, err error) { return in, decode(r.Body, &in) },
	}
}

// index is the last element of a path.
var index = form[matter.FabricIndex]{
	encode: func(path string, i matter.FabricIndex) (string, any) {
		return strings.Replace(path, "{index}", strconv.Itoa(int(i)), 1), nil
	},
	decode: func(r *http.Request) (matter.FabricIndex, error) {
		i, err := strconv.ParseUint(r.PathValue("index"), 10, 8)
		if err != nil || !matter.FabricIndex(i).Valid() {
			return 0, Refuse("fabric index %q is not between %d and %d", r.PathValue("index"), matter.MinFabricIndex, matter.MaxFabricIndex)
		}
		return matter.FabricIndex(i), nil
	},
}

// subject is a request that names what it is about, for the log.
type subject interface{ subject() string }

// newRoute returns a route. ask calls the function of the verb, set replaces it.
func newRoute[In, Out any](pattern, audit string, f form[In], isSet bool, ask func(context.Context, In) (Out, error), set func(func(context.Context, In) (Out, error))) route {
	method, path, _ := strings.Cut(pattern, " ")
	return route{
		method: method, path: path, audit: audit,
		serve: func(r *http.Request, log *slog.Logger) (any, error) {
			var out Out
			in, err := f.decode(r)
			if err == nil {
				out, err = ask(r.Context(), in)
			}
			if audit != "" {
				record(r.Context(), log, audit, r.Method+" "+r.URL.Path, in, err)
			}
			return out, err
		},
		connect: func(c *Client) {
			set(func(ctx context.Context, in In) (out Out, err error) {
				path, body := f.encode(path, in)
				return out, c.call(ctx, method, path, body, &out)
			})
		},
		otherwise: func(err error) {
			if !isSet {
				set(func(context.Context, In) (out Out, _ error) { return out, err })
			}
		},
		audited: func(log *slog.Logger) {
			if audit == "" || !isSet {
				return
			}
			set(func(ctx context.Context, in In) (Out, error) {
				out, err := ask(ctx, in)
				name, _ := f.encode(path, in)
				record(ctx, log, audit, method+" /v1/"+name, in, err)
				return out, err
			})
		},
	}
}

// call returns the route of a verb with a request and an answer.
func call[In, Out any](pattern, audit string, f *func(context.Context, In) (Out, error)) route {
	return newRoute(pattern, audit, object[In](), *f != nil, *f,
		func(g func(context.Context, In) (Out, error)) { *f = g })
}

// query returns the route of a verb with an answer only.
func query[Out any](pattern, audit string, f *func(context.Context) (Out, error)) route {
	ask := *f
	return newRoute(pattern, audit, nothing, ask != nil,
		func(ctx context.Context, _ none) (Out, error) { return ask(ctx) },
		func(g func(context.Context, none) (Out, error)) {
			*f = func(ctx context.Context) (Out, error) { return g(ctx, none{}) }
		})
}

// send returns the route of a verb with a request and no answer.
func send[In any](pattern, audit string, f *func(context.Context, In) error) route {
	return taking(pattern, audit, object[In](), f)
}

// indexed returns the route of a verb whose request is the index of a fabric.
func indexed(pattern, audit string, f *func(context.Context, matter.FabricIndex) error) route {
	return taking(pattern, audit, index, f)
}

func taking[In any](pattern, audit string, form form[In], f *func(context.Context, In) error) route {
	ask := *f
	return newRoute(pattern, audit, form, ask != nil,
		func(ctx context.Context, in In) (none, error) { return none{}, ask(ctx, in) },
		func(g func(context.Context, In) (none, error)) {
			*f = func(ctx context.Context, in In) error { _, err := g(ctx, in); return err }
		})
}

// do returns the route of a verb without request and answer.
func do(pattern, audit string, f *func(context.Context) error) route {
	ask := *f
	return newRoute(pattern, audit, nothing, ask != nil,
		func(ctx context.Context, _ none) (none, error) { return none{}, ask(ctx) },
		func(g func(context.Context, none) (none, error)) {
			*f = func(ctx context.Context) error { _, err := g(ctx, none{}); return err }
		})
}

// stream returns the route of a verb whose answer may be larger than memory.
func stream(pattern string, f *func(context.Context, io.Writer) error) route {
	method, path, _ := strings.Cut(pattern, " ")
	isSet := *f != nil
	return route{
		method: method, path: path,
		stream: func(ctx context.Context, w io.Writer) error { return (*f)(ctx, w) },
		connect: func(c *Client) {
			*f = func(ctx context.Context, w io.Writer) error { return c.copy(ctx, method, path, w) }
		},
		otherwise: func(err error) {
			if !isSet {
				*f = func(context.Context, io.Writer) error { return err }
			}
		},
		audited: func(*slog.Logger) {},
	}
}
