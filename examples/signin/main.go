// Signin is a web app with a sign-in page: the access token is in a cookie, and a
// browser that has signed in comes back to the page that it asked for. Without
// settings it runs against a GenAuth emulator in the same process.
//
// Anybody who can read the cookie has the access token. examples/portal keeps it on the
// server, and has the pages to set up a factor.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/labstack/echo/v4"
)

func main() {
	host, appID := os.Getenv("GENAUTH_HOST"), os.Getenv("GENAUTH_APP_ID")
	if host == "" && appID == "" {
		demo, err := genauthtest.New(genauthtest.Config{})
		if err != nil {
			log.Fatal(err)
		}
		demo.AddUser(genauthtest.User{Username: "alice", Password: "alice-password", Factors: []genauthtest.FactorType{genauthtest.OTP}})
		demo.AddUser(genauthtest.User{Username: "bob", Password: "bob-password"})
		host, appID = demo.URL(), demo.AppID()
		log.Print("open http://127.0.0.1:8080/admin and sign in as alice / alice-password, or bob / bob-password")
	}
	app, err := newApp(host, appID)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: app, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func newApp(host, appID string) (http.Handler, error) {
	genauth, err := client.New(client.Config{BaseURL: host, AppID: appID})
	if err != nil {
		return nil, fmt.Errorf("GENAUTH_HOST, GENAUTH_APP_ID: %w", err)
	}
	mfa, err := echomfa.New(echomfa.Config{
		Client:      genauth,
		TokenLookup: "cookie:session",
		LoginURL:    "/login",
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return nil, err
	}
	signIn := passwordSignIn(genauth)
	e := echo.New()
	e.GET("/login", func(c echo.Context) error {
		var page bytes.Buffer
		if err := form.Execute(&page, mfa.ReturnTo(c.QueryParam("return_to"))); err != nil {
			return err
		}
		return c.HTMLBlob(http.StatusOK, page.Bytes())
	})
	e.POST("/login", func(c echo.Context) error {
		token, err := signIn(c.Request().Context(), c.FormValue("username"), c.FormValue("password"))
		if err != nil {
			return c.String(http.StatusUnauthorized, "The user name or the password is wrong.\n")
		}
		c.SetCookie(&http.Cookie{Name: "session", Value: token, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
		back := mfa.ReturnTo(c.FormValue("return_to"))
		if back == "" {
			back = mfa.Address("/", "") // it was missing, or led elsewhere
		}
		return c.Redirect(http.StatusSeeOther, back)
	})
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "Hello\n") })
	admin := e.Group("/admin", mfa.Require(echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
	admin.GET("", func(c echo.Context) error { return c.String(http.StatusOK, "Hello, admin\n") })
	// A form of another site must not sign anybody in.
	return http.NewCrossOriginProtection().Handler(e), nil
}

//nolint:gochecknoglobals // a template is made once
var form = template.Must(template.New("login").Parse(`<!DOCTYPE html><title>Sign in</title>
<form method="post" action="/login"><input type="hidden" name="return_to" value="{{.}}">
<input name="username" autocomplete="username"><input name="password" type="password" autocomplete="current-password">
<button>Sign in</button></form>
`))

// passwordSignIn returns a function that trades name and password for an access
// token at GenAuth. An app with GenAuth's hosted sign-in page gets the token there.
func passwordSignIn(genauth *client.Client) func(ctx context.Context, username, password string) (string, error) {
	// A redirect would take the password to another place.
	once := &http.Client{
		Timeout:       5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, username, password string) (string, error) {
		body, err := json.Marshal(map[string]any{
			"connection": "PASSWORD", "client_id": genauth.AppID(),
			"passwordPayload": map[string]string{"username": username, "password": password},
		})
		if err != nil {
			return "", err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, genauth.BaseURL()+"/api/v3/signin", bytes.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(client.DefaultAppIDHeader, genauth.AppID())
		res, err := once.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = res.Body.Close() }()
		var answer struct {
			StatusCode int `json:"statusCode"`
			Data       struct {
				AccessToken string `json:"access_token"`
			} `json:"data"`
		}
		err = json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&answer)
		if err != nil || res.StatusCode != http.StatusOK || answer.StatusCode != http.StatusOK || !client.ValidToken(answer.Data.AccessToken) {
			return "", errors.New("sign-in refused")
		}
		return answer.Data.AccessToken, nil
	}
}
