package enroll_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa/enroll"
)

// This file holds the programs of docs/enrollment.md.

// Example mounts the pages where the enforcer sends browsers to enroll.
func Example() {
	genauth, err := genauthtest.New(genauthtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer genauth.Close()
	genauth.AddUser(genauthtest.User{ID: "bob"})
	_ = os.Setenv("GENAUTH_HOST", genauth.URL())
	_ = os.Setenv("GENAUTH_APP_ID", genauth.AppID())

	app, err := newApp(enroll.InsecureRandomKey())
	if err != nil {
		log.Panic(err)
	}
	server := httptest.NewServer(app)
	defer server.Close()

	fmt.Println(open(server.URL+"/admin?page=2", genauth.AccessToken("bob")))
	// Output: Set up two-step verification: /mfa?return_to=%2Fadmin%3Fpage%3D2
}

func newApp(stateKey []byte) (*echo.Echo, error) {
	genauth, err := client.New(client.Config{BaseURL: os.Getenv("GENAUTH_HOST"), AppID: os.Getenv("GENAUTH_APP_ID")})
	if err != nil {
		return nil, err
	}
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth, EnrollURL: "/mfa", LoginURL: "/login",
		TokenLookup: "cookie:session", // where your sign-in page puts the access token
		Logger:      slog.Default(),
	})
	if err != nil {
		return nil, err
	}
	policy := echomfa.AnyOf(echomfa.OTP, echomfa.Face)
	pages, err := enroll.New(enroll.Config{
		Client:       genauth,
		Enforcer:     mfa,
		BasePath:     "/mfa",
		Policy:       policy,
		StateKeys:    [][]byte{stateKey}, // 32 random bytes, the same on all instances
		RecentSignIn: signedIn,
		OnChange:     tellTheUser,
		Brand:        enroll.Brand{Name: "Example"},
	})
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.Any("/mfa", echo.WrapHandler(pages))
	e.Any("/mfa/*", echo.WrapHandler(pages)) // Echo's wildcard does not match "/mfa" itself
	e.GET("/admin", func(c echo.Context) error { return c.String(http.StatusOK, "Hello, admin\n") }, mfa.Require(policy))
	return e, nil
}

// ExampleRefusalPage has refusals look like the app, in the user's language.
func ExampleRefusalPage() {
	genauth, err := genauthtest.New(genauthtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer genauth.Close()
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID()})
	if err != nil {
		log.Panic(err)
	}
	mfa, err := newEnforcer(c)
	if err != nil {
		log.Panic(err)
	}
	server := httptest.NewServer(mfa.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.OTP)})(http.NotFoundHandler()))
	defer server.Close()
	genauth.Stop()

	fmt.Println(open(server.URL+"/admin", genauth.AccessToken(genauth.AddUser(genauthtest.User{}).ID)))
	// Output: We couldn&#39;t check your verification methods: /admin
}

func newEnforcer(genauth *client.Client) (*echomfa.Enforcer, error) {
	page, err := enroll.RefusalPage(enroll.RefusalConfig{
		Brand:   enroll.Brand{Name: "Example"},
		Support: "the help desk, phone 1234",
	})
	if err != nil {
		return nil, err
	}
	return echomfa.New(echomfa.Config{Client: genauth, EnrollURL: "/mfa", LoginURL: "/login", RefusalPage: page})
}

// signedIn returns who gave the password in the session of a request, and when. This
// is where you look into yours.
func signedIn(r *http.Request) (enroll.SignIn, error) {
	session, ok := r.Context().Value(sessionKey{}).(Session)
	if !ok {
		return enroll.SignIn{}, nil // nobody
	}
	return enroll.SignIn{Subject: session.UserID, Time: session.SignedInAt}, nil
}

// Session stands for what your app knows of a signed-in browser.
type Session struct {
	UserID     string // the sub of the ID token
	SignedInAt time.Time
}

type sessionKey struct{}

// tellTheUser tells the user by another way, such as an e-mail: if it was
// somebody else, the user should know.
func tellTheUser(_ context.Context, e enroll.Event) {
	log.Printf("%s: %s was %s", e.Subject, e.Type, e.Change)
}
