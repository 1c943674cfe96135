package enroll

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
)

// signedInPath is where a new sign-in comes back to.
const signedInPath = "/signed-in"

// askToSignIn shows the page that asks to sign in again, unless that is done.
func (v *visit) askToSignIn() {
	_, err := v.recently()
	switch {
	case v.h.cfg.InsecureSkipProof, v.decision.Enrolled.Has(client.OTP), err == nil:
		v.redirect(v.startPath())
	case errors.Is(err, errNeedsSignIn):
		v.showSignIn()
	default:
		v.unproven(err, nil) // which does not ask for a code
	}
}

// showSignIn asks to sign in again. If the user comes back from there and it was no new
// sign-in, since single sign-on let the user pass, another round would be none either: the
// page says so.
func (v *visit) showSignIn() {
	p := &Page{Name: "signin", Status: http.StatusForbidden, SignIn: v.signInLocation()}
	if v.path == signedInPath {
		p.Error = v.text("error.same_sign_in")
	}
	v.show(p)
}

// recently returns until when a recent sign-in proves that the user is there.
func (v *visit) recently() (until time.Time, err error) {
	within, now := v.h.cfg.SignInWithin, time.Now()
	signedIn, err := v.signedIn()
	if err != nil {
		return time.Time{}, err
	}
	// A time ahead of now proves nothing; clocks differ by a little.
	if signedIn.After(now.Add(time.Minute)) || now.Sub(signedIn) > within {
		return time.Time{}, errNeedsSignIn
	}
	return later(signedIn.Add(within), now.Add(timeToFinish)), nil
}

// signInLocation returns the page to sign in again, or "" if none is known. A sign-in page
// that finds a session lets the user pass unless it is told not to.
func (v *visit) signInLocation() string {
	enforcer, back := v.h.cfg.Enforcer, v.h.cfg.Enforcer.Address(v.base+signedInPath, v.back)
	if v.h.cfg.ReauthURL == "" {
		return withQuery(enforcer.LoginLocation(back), "prompt=login")
	}
	u, err := url.Parse(v.h.cfg.ReauthURL)
	if err != nil {
		return "" // New has parsed it
	}
	to := v.h.cfg.ReauthURL
	if u.Host == "" {
		to = enforcer.Address(to, "")
	} else {
		back = enforcer.Origin() + back
	}
	return withQuery(to, url.QueryEscape(enforcer.ReturnToParam())+"="+url.QueryEscape(back))
}

// withQuery returns an address with one more parameter, or "" of none.
func withQuery(address, parameter string) string {
	if address == "" {
		return ""
	}
	address, fragment, hasFragment := strings.Cut(address, "#")
	switch {
	case !strings.Contains(address, "?"):
		address += "?"
	case !strings.HasSuffix(address, "?"):
		address += "&"
	}
	address += parameter
	if hasFragment {
		address += "#" + fragment
	}
	return address
}

// wrongReauthURL returns what is wrong with the ReauthURL. It is not quoted: it may have a
// password.
func (c *Config) wrongReauthURL() string {
	u, err := url.Parse(c.ReauthURL)
	switch {
	case c.ReauthURL == "":
		return ""
	case err != nil || u.Fragment != "":
		return "is not a URL without a fragment"
	case u.Host == "" && (u.Scheme != "" || !strings.HasPrefix(c.ReauthURL, "/") || !isPath(u.Path)),
		u.Host != "" && u.Scheme != "https" && u.Scheme != "http":
		return `is neither a path such as "/login?prompt=login" nor an http(s) URL`
	case u.Host != "" && c.Enforcer != nil && c.Enforcer.Origin() == "":
		return "is on another origin, which needs the Enforcer's ReturnTo.BaseURL to send users back"
	case c.Enforcer != nil && u.Query().Has(c.Enforcer.ReturnToParam()):
		return "has the parameter of the return-to already"
	case u.Host == "" && c.BasePath != "" && strings.HasPrefix(u.Path+"/", c.BasePath+"/"):
		return "leads to these pages themselves"
	}
	return ""
}

// wrongSignOut returns what is wrong with the SignOutURL.
func (c *Config) wrongSignOut() string {
	u, err := url.Parse(c.SignOutURL)
	switch {
	case c.SignOutURL == "" && c.SignOutPost:
		return "required, because SignOutPost is set"
	case c.SignOutURL == "":
		return ""
	case err != nil || u.Host == "" && (u.Scheme != "" || !isPath(u.Path) || !strings.HasPrefix(u.Path, "/")) ||
		u.Host != "" && u.Scheme != "https" && u.Scheme != "http":
		return `is neither a path such as "/logout" nor an http(s) URL`
	case u.Host != "" && c.SignOutPost:
		return "is on another origin, to which these pages send no forms"
	}
	return ""
}
