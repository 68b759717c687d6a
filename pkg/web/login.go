package web

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// loginBody is the content of the login page.
type loginBody struct {
	Token string // from the link; "": the page asks for one
	Fault string
}

// getLogin shows the form that uses a token. Opening the link does not use the
// token, since programs may open links before people do.
func (p *Page) getLogin(w http.ResponseWriter, r *http.Request) {
	if p.session(r) != nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	p.showLogin(w, r, http.StatusOK, r.URL.Query().Get("token"), "")
}

func (p *Page) showLogin(w http.ResponseWriter, r *http.Request, status int, token, fault string) {
	p.render(w, r, status, &frame{Title: "Sign in", Page: "login", Now: time.Now(), Body: loginBody{Token: token, Fault: fault}})
}

// login starts a session for a browser with a valid token.
func (p *Page) login(w http.ResponseWriter, r *http.Request) {
	cookie, err := p.gate.enter(time.Now(), r.PostFormValue("token"))
	if err != nil {
		status := http.StatusForbidden
		if errors.Is(err, errTries) {
			status = http.StatusTooManyRequests
			w.Header().Set("Retry-After", strconv.Itoa(int(triesTime/time.Second)))
		}
		if missed, ok := p.gate.mayLog(time.Now()); ok {
			p.log.Warn("a browser was not let in", "peer", r.RemoteAddr, "error", err, "not_logged", missed)
		}
		p.showLogin(w, r, status, "", sentence(err.Error()))
		return
	}
	p.log.Info("a browser was let in", "peer", r.RemoteAddr)
	p.setCookie(w, cookie, sessionTime)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logout ends the session.
func (p *Page) logout(w http.ResponseWriter, r *http.Request) (to, done string, err error) {
	if c, err := r.Cookie(p.cookieName()); err == nil {
		p.gate.leave(c.Value)
	}
	p.setCookie(w, "", -time.Second)
	return "/login", "", nil
}

// logoutAll ends every session.
func (p *Page) logoutAll(w http.ResponseWriter, r *http.Request) (to, done string, err error) {
	p.gate.leaveAll()
	p.log.Info("all browsers were signed out", "peer", r.RemoteAddr)
	p.setCookie(w, "", -time.Second)
	return "/login", "", nil
}
