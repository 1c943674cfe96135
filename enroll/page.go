package enroll

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/echomfa/echomfa/client"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// Page is what a template is given. Texts that are not the app's own come from
// GenAuth or from the user: html/template escapes them.
//
// As a whole it prints as "[redacted]", also in a template: it may hold a secret,
// a recovery code and personal data.
type Page struct {
	secret

	// Name is the template: "start", "deadend", "prove", "signin", "otp",
	// "address", "sent", "face", "recovery", "remove" or "message".
	Name string
	// Lang is the language of the page.
	Lang string
	// Brand is the look of the app, and Support whom to ask.
	Brand   Brand
	Support string
	// Base is the path of the pages; Style and Script are those of the files.
	Base, Style, Script string
	// ReturnParam and ReturnTo are the return-to of the forms; Back is where
	// the user goes in the end, and Home where they go without a return-to.
	ReturnParam, ReturnTo, Back, Home string
	// Status is the status of the answer.
	Status int
	// Error is what is wrong, in a sentence, and Field the id of the input
	// that it is about, if there is one. Notice is what the user should know.
	Error, Field, Notice string
	// State is the hidden field of the forms.
	State string

	// Satisfied says that nothing is missing. Missing are the alternatives
	// otherwise.
	Satisfied bool
	Missing   [][]client.FactorType
	// Enrolled are the factors of the user; Helpful are those that can be
	// added and bring the user nearer, Other the rest.
	Enrolled, Helpful, Other []client.FactorType

	// Type is the factor that the page is about.
	Type client.FactorType
	// QRCode, KeyLink and Secret are the same key for an authenticator app: a
	// picture, a link for an app on the same device, and text. Account is what the
	// app lists it as, and Digits how long its codes are. Settings are algorithm,
	// digits and seconds, if they are not those that apps take for granted.
	QRCode, KeyLink template.URL
	Secret, Account string
	Digits          int
	Settings        []any
	// Address is where a code goes. Region, Phone and Email are as the user
	// typed them.
	Address, Region, Phone, Email string
	// RecoveryCode is shown once.
	RecoveryCode string
	// Choices are the factors of Type, of which one is to be removed. Locks
	// says that removing it shuts pages that are open now, and NeedsCode that
	// a code of the authenticator app is asked for.
	Choices          []Choice
	Locks, NeedsCode bool
	// Action is the form that a code is asked for, and FactorID its factor.
	Action, FactorID string
	// SignIn is the page to sign in again, and Hosted a page of GenAuth.
	SignIn, Hosted string

	texts map[string]string
}

// Choice is one of several factors of a type. As a whole it prints as
// "[redacted]".
type Choice struct {
	secret

	// ID is GenAuth's, and Hint tells the factors apart.
	ID, Hint string
}

// Choosing is a page and the factors to choose from.
type Choosing struct {
	Page  *Page
	Types []client.FactorType
}

// T returns a text in the page's language. The values stand for its %s.
func (p *Page) T(key string, values ...any) string {
	text, ok := p.texts[key]
	if !ok {
		return key
	}
	// Not Sprintf: an app's text may have a percent sign.
	var b strings.Builder
	for _, value := range values {
		before, after, _ := strings.Cut(text, "%s")
		_, _ = fmt.Fprint(&b, before, value) // a Builder takes all
		text = after
	}
	return b.String() + text
}

// Title returns the heading of the page.
func (p *Page) Title() string {
	if p.Name == "start" && !p.Satisfied {
		return p.T("title.needed")
	}
	return p.T("title." + p.Name)
}

// FactorName returns the name of a type of factor, such as "authenticator app".
func (p *Page) FactorName(t client.FactorType) string {
	if name, ok := p.texts["factor."+string(t.Normalize())]; ok {
		return name
	}
	return string(t)
}

// FactorHint returns what a type of factor is, in a sentence.
func (p *Page) FactorHint(t client.FactorType) string { return p.texts["hint."+string(t.Normalize())] }

// With returns the page beside some of its types, for a template that lists them.
func (p *Page) With(types []client.FactorType) Choosing { return Choosing{Page: p, Types: types} }

// Together returns the names of factors that are needed together.
func (p *Page) Together(types []client.FactorType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = p.FactorName(t)
	}
	return strings.Join(names, p.T("join.and"))
}

// wrong returns the page as it is shown again because of an input.
func (p *Page) wrong(v *visit, status int, field, key string) *Page {
	p.Status, p.Field, p.Error = status, field, v.text(key)
	return p
}

// Regions returns the calling codes to choose from.
func (p *Page) Regions() []Region { return regionsIn(p.Lang) }

// CallingCode returns the calling code of Region.
func (p *Page) CallingCode() string { return callingCode(p.Region) }

// newTemplates parses the templates that come with the package, and those of an
// app over them.
func newTemplates(custom fs.FS) (*template.Template, error) {
	t, err := template.New("").ParseFS(pageFiles, "pages/*.html")
	if err != nil || custom == nil {
		return t, err
	}
	// A pattern that no file matches is an error too.
	if t, err = t.ParseFS(custom, "*.html"); err != nil {
		return nil, fmt.Errorf("enroll: Templates: %w", err)
	}
	return t, tryTemplates(t)
}

// tryTemplates executes the templates once, each with a page that has all there
// can be: that a template names a part or a field that is not there would be
// found by the first user otherwise.
func tryTemplates(t *template.Template) error {
	types := []client.FactorType{client.OTP, client.SMS}
	for _, name := range []string{
		"start", "deadend", "prove", "signin", "otp", "address", "sent", "face", "recovery", "remove", "message",
	} {
		err := t.ExecuteTemplate(io.Discard, name, &Page{
			Name: name, Lang: defaultLanguage, Brand: Brand{Name: "x", LogoPath: "/x", Color: defaultColor}, Support: "x",
			Base: "/x", Style: "/x", Script: "/x", ReturnParam: "x", ReturnTo: "/x", Back: "/x", Home: "/x",
			Status: http.StatusOK, Error: "x", Field: "code", Notice: "x", State: "x",
			Missing: [][]client.FactorType{types, types}, Enrolled: types, Helpful: types, Other: types,
			Type: client.OTP, QRCode: "data:,", Secret: "x", Address: "x", Region: defaultRegion, Phone: "1", Email: "x",
			RecoveryCode: "x", Choices: []Choice{{ID: "x"}, {ID: "y"}}, Locks: true, NeedsCode: true,
			Action: "begin", FactorID: "x", SignIn: "/x", Hosted: "https://x.example",
		})
		if err != nil {
			return fmt.Errorf("enroll: Templates: %w", err)
		}
	}
	return nil
}

// asset is a file that the pages need. It is the same for everybody.
type asset struct {
	contentType string
	body        []byte
}

// newAssets returns the files by their path below the base path. The path has a
// fingerprint in it, so that browsers may keep them.
func newAssets(brand Brand) (files map[string]asset, style, script string) {
	css := styleOf(brand)
	js := mustRead("assets/script.js")
	style, script = "/assets/"+fingerprint(css)+".css", "/assets/"+fingerprint(js)+".js"
	return map[string]asset{
		style:  {contentType: "text/css; charset=utf-8", body: css},
		script: {contentType: "text/javascript; charset=utf-8", body: js},
	}, style, script
}

// styleOf returns the style sheet in the color of an app.
func styleOf(brand Brand) []byte {
	return append([]byte(":root{--brand:"+brand.Color+"}\n"), mustRead("assets/style.css")...)
}

func mustRead(name string) []byte {
	raw, err := assetFiles.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return raw
}

func fingerprint(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	write(w, r, http.StatusOK, a.body)
}

// contentPolicy allows the pages their own files and forms. Chromium holds all
// redirects that follow a form against form-action too, so a sign-in page on
// another origin is allowed, and GenAuth's, where an app's own may lead at once.
func contentPolicy(destinations ...string) string {
	forms := []string{"'self'"}
	for _, to := range destinations {
		if u, err := url.Parse(to); err == nil && u.Host != "" {
			forms = append(forms, u.Scheme+"://"+u.Host)
		}
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action " + strings.Join(forms, " ") +
		"; base-uri 'none'; frame-ancestors 'none'"
}

// setHeaders sets what every answer but the assets carries.
func (h *Handler) setHeaders(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", h.policy)
	// With no-referrer, browsers send "Origin: null" with a form, and on plain http
	// nothing else says that it is not another site's.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
}

// show writes a page.
func (v *visit) show(p *Page) {
	p.Lang, p.texts = v.lang, v.h.languages[v.lang]
	p.Brand, p.Support = v.h.cfg.Brand, v.h.cfg.Support
	p.Base = v.h.cfg.Enforcer.Address(v.base, "")
	p.Style, p.Script = p.Base+v.h.style, p.Base+v.h.script
	if p.Brand.LogoPath != "" {
		p.Brand.LogoPath = v.h.cfg.Enforcer.Address(p.Brand.LogoPath, "")
	}
	p.ReturnParam, p.ReturnTo, p.Back = v.h.cfg.Enforcer.ReturnToParam(), v.back, v.destination()
	p.Home = v.h.cfg.Enforcer.ReturnTo(v.h.cfg.Home)
	if p.Status == 0 {
		p.Status = http.StatusOK
	}
	var b bytes.Buffer
	if err := v.h.templates.ExecuteTemplate(&b, p.Name, p); err != nil {
		v.log("enrollment page failed", err)
		http.Error(v.w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Content-Language", v.lang)
	write(v.w, v.r, p.Status, b.Bytes())
}

// write writes the whole answer. A client that has gone does not matter.
func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
