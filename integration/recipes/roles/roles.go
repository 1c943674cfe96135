// Package roles asks of each user for what the role needs, in a shop that anybody may
// look at without signing in. It is a recipe: copy it.
package roles

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/enroll"
)

// Session is a signed-in user, as your session store has it.
type Session struct{ UserID, Token, Role string }

// SessionOf returns the session of a request; false: nobody has signed in.
type SessionOf func(r *http.Request) (Session, bool)

// Area is a part of the app. Each mount names its own: it is not read from the URL.
type Area int

// The parts of the app.
const (
	Shop  Area = iota // open to everybody
	Admin             // for staff
)

// Policies returns the one function that says what a request needs. It is for RequireFunc
// of the routes and for PolicyFunc of the enrollment pages.
func Policies(sessionOf SessionOf) func(r *http.Request, area Area) (echomfa.Policy, error) {
	open := echomfa.Exempt("open to everybody") // no token is read, and GenAuth is not called
	strong := echomfa.AnyOf(echomfa.OTP, echomfa.Face)
	policies := map[Area]map[string]echomfa.Policy{
		Shop:  {"": open, "customer": open, "staff": strong.Named("staff")}, // staff see more there
		Admin: {"staff": strong.And(echomfa.AnyOf(echomfa.Email)).Named("staff in admin")},
	}
	return func(r *http.Request, area Area) (echomfa.Policy, error) {
		session, signedIn := sessionOf(r)
		if !signedIn && area != Shop {
			return echomfa.Policy{}, echomfa.ErrUnauthenticated // a browser is sent to sign in
		}
		return policies[area][session.Role], nil // a role that is not there: the zero Policy, a 500
	}
}

// NewApp is the shop. The guard does not say who may be where: staffOnly does.
func NewApp(genauth *client.Client, stateKey []byte, sessionOf SessionOf) (*echomfa.Enforcer, http.Handler, error) {
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth,
		// The same session that the policy is chosen by. Who leaves the cookie out is
		// nobody to both, and gets what nobody gets.
		Token: func(r *http.Request) (string, error) {
			session, _ := sessionOf(r)
			return session.Token, nil // "" is a 401
		},
		EnrollURL: "/mfa",
		LoginURL:  "/login",
	})
	if err != nil {
		return nil, nil, err
	}
	policyOf := Policies(sessionOf)
	pages, err := enroll.New(enroll.Config{
		Client:   genauth,
		Enforcer: mfa,
		BasePath: "/mfa",
		PolicyFunc: func(r *http.Request, returnTo string) (echomfa.Policy, error) {
			area := Shop
			session, _ := sessionOf(r)
			// A guess by the address does no harm here: it opens nothing.
			if session.Role == "staff" && strings.HasPrefix(returnTo, "/admin") {
				area = Admin
			}
			return policyOf(r, area)
		},
		StateKeys: [][]byte{stateKey},
		AuthTime:  true,
	})
	if err != nil {
		return nil, nil, err
	}
	guard := func(area Area) func(http.Handler) http.Handler {
		return mfa.Middleware(echomfa.HandlerConfig{
			RequireFunc: func(r *http.Request) (echomfa.Requirement, error) {
				policy, err := policyOf(r, area)
				return echomfa.Requirement{Policy: policy}, err
			},
		})
	}
	staffOnly := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if session, signedIn := sessionOf(r); signedIn && session.Role != "staff" {
				http.Error(w, "For staff only.", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _ := sessionOf(r)
		_, _ = fmt.Fprintf(w, "Hello, %s\n", session.Role)
	})
	mux := http.NewServeMux()
	mux.Handle("/mfa", pages)
	mux.Handle("/mfa/", pages)
	mux.Handle("GET /shop", guard(Shop)(hello))
	mux.Handle("GET /admin", staffOnly(guard(Admin)(hello)))
	return mfa, mux, nil
}
