package echomfa_test

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/echomfa/echomfa"
)

// ExampleRefusalPage has refusals in the app's own looks and languages. Package enroll
// has such a page ready.
func ExampleRefusalPage() {
	const style = "body { font-family: sans-serif; color-scheme: light dark }"
	page := template.Must(template.New("").Parse(`<!doctype html>
<html lang="{{.Lang}}"><title>{{.Text}}</title><style>` + style + `</style>
<main><h1>{{.Text}}</h1>
{{if .About.Link}}<p><a href="{{.About.Link}}" target="_top">OK</a></p>{{end}}
{{if .About.Retry}}<p><a href="">↻</a></p>{{end}}
<p><small>{{.About.DecisionID}}</small></p></main>`))
	texts := map[string]map[int]string{
		"en": {401: "Sign in", 403: "Set up two-step verification", 500: "Something went wrong", 503: "Try again in a moment"},
		"de": {401: "Anmelden", 403: "Zweiten Faktor einrichten", 500: "Etwas ging schief", 503: "Gleich noch einmal versuchen"},
	}
	_, genauth, done := kitchen()
	defer done()
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth,
		RefusalPage: func(r *http.Request, about echomfa.Refusal) (echomfa.RefusalPage, error) {
			lang := "en"
			if strings.HasPrefix(r.Header.Get("Accept-Language"), "de") {
				lang = "de"
			}
			var html strings.Builder
			err := page.Execute(&html, map[string]any{"Lang": lang, "Text": texts[lang][about.Status], "About": about})
			return echomfa.RefusalPage{HTML: template.HTML(html.String()), Language: lang, Style: style}, err
		},
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()

	app := mfa.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.OTP)})(http.NotFoundHandler())
	w := ask(app, http.MethodGet, "/", "Sec-Fetch-Mode: navigate", "Accept-Language: de-CH")
	fmt.Println(w.Code, w.Header().Get("Content-Language"), strings.Contains(w.Body.String(), "<h1>Anmelden</h1>"))
	// Output: 401 de true
}

// ExampleEnforcer_EnrolledFactors is an account page, which shows users what they have.
func ExampleEnforcer_EnrolledFactors() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa, err := echomfa.New(echomfa.Config{Client: genauth})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()

	account := func(w http.ResponseWriter, r *http.Request) {
		token, err := mfa.Token(r)
		if err != nil {
			mfa.WriteRefusal(w, r, err)
			return
		}
		enrolled, err := mfa.EnrolledFactors(r.Context(), token)
		if err != nil {
			mfa.WriteRefusal(w, r, err)
			return
		}
		_, _ = fmt.Fprintln(w, "Your verification methods:", enrolled)
	}

	w := ask(http.HandlerFunc(account), http.MethodGet, "/account", "Authorization: Bearer "+emulator.AccessToken("alice"))
	fmt.Print(w.Body)
	// Output: Your verification methods: OTP
}
