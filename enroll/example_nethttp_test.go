package enroll_test

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"

	"github.com/echomfa/echomfa/enroll"
)

// ExampleHandler is a net/http app with a sign-in page, the enrollment pages and a guarded
// page. The access token stays on the server.
func ExampleHandler() {
	demo, err := genauthtest.New(genauthtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer demo.Close()
	bob := demo.AddUser(genauthtest.User{ID: "bob"})
	genauth, err := client.New(client.Config{BaseURL: demo.URL(), AppID: demo.AppID()})
	if err != nil {
		log.Panic(err)
	}
	defer genauth.CloseIdleConnections()
	// This stands for your sign-in at GenAuth. The program examples/signin has one.
	authenticate := func(r *http.Request) (token, userID string, err error) {
		if r.PostFormValue("username") != "bob" || r.PostFormValue("password") != "bob-password" {
			return "", "", errors.New("sign-in refused")
		}
		return demo.AccessToken(bob.ID), bob.ID, nil
	}
	app, err := newWebApp(genauth, enroll.InsecureRandomKey(), authenticate)
	if err != nil {
		log.Panic(err)
	}
	server := httptest.NewTLSServer(app)
	defer server.Close()

	browser := newBrowser(server)
	fmt.Println(browser.open("/admin?page=2"))
	fmt.Println(browser.submit("username", "bob", "password", "bob-password"))
	demo.Enroll(bob.ID, genauthtest.OTP) // bob goes through the pages
	fmt.Println(browser.submit())        // and presses "Check again"
	fmt.Println(browser.open("/admin?page=2"))
	// Output:
	// Sign in: /login?return_to=%2Fadmin%3Fpage%3D2
	// Set up two-step verification: /mfa?return_to=%2Fadmin%3Fpage%3D2
	// Back to the app: /mfa/continue?return_to=%2Fadmin%3Fpage%3D2
	// Hello, admin: /admin?page=2
}

func newWebApp(
	genauth *client.Client, stateKey []byte, authenticate func(*http.Request) (token, userID string, err error),
) (http.Handler, error) {
	sessions := &webSessions{byID: map[string]webSession{}}
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth, EnrollURL: "/mfa", LoginURL: "/login",
		Token:  func(r *http.Request) (string, error) { return sessions.of(r).token, nil },
		Logger: slog.Default(),
	})
	if err != nil {
		return nil, err
	}
	policy := echomfa.AnyOf(echomfa.OTP, echomfa.Face)
	pages, err := enroll.New(enroll.Config{
		Client: genauth, Enforcer: mfa, BasePath: "/mfa", Policy: policy,
		StateKeys: [][]byte{stateKey}, // 32 random bytes, the same on all instances
		RecentSignIn: func(r *http.Request) (enroll.SignIn, error) {
			s := sessions.of(r)
			return enroll.SignIn{Subject: s.userID, Time: s.signedIn}, nil
		},
		Logger: slog.Default(),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		if err := signInPage.Execute(w, mfa.ReturnTo(r.FormValue("return_to"))); err != nil {
			slog.ErrorContext(r.Context(), "sign-in page failed", "error", err)
		}
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		token, userID, err := authenticate(r)
		if err != nil {
			http.Error(w, "The user name or the password is wrong.", http.StatusUnauthorized)
			return
		}
		sessions.begin(w, webSession{token: token, userID: userID, signedIn: time.Now()})
		// ReturnTo returns "" for what is not a path of this app.
		http.Redirect(w, r, cmp.Or(mfa.ReturnTo(r.FormValue("return_to")), "/"), http.StatusSeeOther)
	})
	mux.Handle("/mfa", pages)
	mux.Handle("/mfa/", pages)
	admin := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "<h1>Hello, admin</h1>") })
	mux.Handle("GET /admin", mfa.Middleware(echomfa.HandlerConfig{Policy: policy})(admin))
	// A form of another site must not sign anybody in.
	return http.NewCrossOriginProtection().Handler(mux), nil
}

//nolint:gochecknoglobals // a template is made once
var signInPage = template.Must(template.New("").Parse(`<!DOCTYPE html><title>Sign in</title><h1>Sign in</h1>
<form method="post" action="/login"><input type="hidden" name="return_to" value="{{.}}">
<input name="username" autocomplete="username"><input name="password" type="password" autocomplete="current-password">
<button>Sign in</button></form>
`))

// webSession is a signed-in browser; the zero value is nobody.
type webSession struct {
	token, userID string
	signedIn      time.Time
}

// webSessions stands for the store that the instances of your app share.
type webSessions struct {
	mu   sync.Mutex
	byID map[string]webSession
}

func (s *webSessions) begin(w http.ResponseWriter, session webSession) {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[id] = session
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
}

func (s *webSessions) of(r *http.Request) webSession {
	cookie, err := r.Cookie("session")
	if err != nil {
		return webSession{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[cookie.Value]
}
