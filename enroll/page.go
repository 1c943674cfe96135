package enroll

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

//go:embed pages/*.html
var pageFiles embed.FS

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
	types, later := []client.FactorType{client.OTP, client.SMS}, time.Now().Add(time.Hour)
	choices := []Choice{{ID: "x", Hint: "x", Type: client.SMS}, {ID: "y"}}
	for _, name := range []string{
		"start", "deadend", "prove", "signin", "otp", "address", "sent", "face", "recovery", "remove", "changed", "message",
	} {
		err := t.ExecuteTemplate(io.Discard, name, &Page{
			Name: name, Lang: defaultLanguage, Brand: Brand{Name: "x", LogoPath: "/x", Color: defaultColor}, Support: "x",
			Base: "/x", Style: "/x", Script: "/x", ReturnParam: "x", ReturnTo: "/x", Back: "/x", Home: "/x",
			Status: http.StatusOK, Error: "x", Field: "code", Notice: "x", Reference: "x", State: "x", FromList: true,
			Missing: [][]client.FactorType{types, types}, Perhaps: [][]client.FactorType{types}, Elsewhere: [][]client.FactorType{types}, Enrolled: types, Helpful: types, Other: types, Methods: choices, User: "x", SignOut: "/x", SignOutPost: true,
			Start: "/x", Cancel: "/x", Correct: "/x", SendAt: later, Changed: Enrolled,
			Type: client.OTP, QRCode: "data:,", Secret: "x", Address: "x", Region: defaultRegion, Phone: "1", Email: "x",
			RecoveryCode: "x", Choices: choices, Locks: true, NeedsCode: true, Understood: true, At: later, Step: "x",
			Action: "begin", FactorID: "x", SignIn: "/x", Retry: "/x", Hosted: "https://x.example",
		})
		if err != nil {
			return fmt.Errorf("enroll: Templates: %w", err)
		}
	}
	return nil
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
	cfg := &v.h.cfg
	p.speak(v.h.languages, v.lang, cfg.Support)
	p.Brand = cfg.Brand
	p.Base = cfg.Enforcer.Address(v.base, "")
	p.Style, p.Script = p.Base+v.h.style, p.Base+v.h.script
	if p.Brand.LogoPath != "" {
		p.Brand.LogoPath = cfg.Enforcer.Address(p.Brand.LogoPath, "")
	}
	p.ReturnParam, p.ReturnTo, p.Back, p.Start = cfg.Enforcer.ReturnToParam(), v.back, v.destination(), v.startPath()
	p.Home = cfg.Enforcer.ReturnTo(cfg.Home)
	p.FromList = v.fromList || p.Name == "start" || p.Name == "deadend"
	if p.Cancel = p.Start; v.back != "" && !p.FromList && v.decision.Outcome == echomfa.Allowed {
		p.Cancel = v.back // which lets the user in
	}
	if p.Reference == "" && (p.Error != "" && p.Field == "" || p.Name == "deadend") {
		p.Reference = v.ref
	}
	if v.token != "" {
		v.identity(p)
	}
	if p.Status == 0 {
		p.Status = http.StatusOK
	}
	var b bytes.Buffer
	if err := v.h.templates.ExecuteTemplate(&b, p.Name, p); err != nil {
		v.log("enroll_page_failed", "enrollment page failed", err)
		http.Error(v.w, http.StatusText(http.StatusInternalServerError)+". Reference: "+v.ref, http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Content-Language", v.lang)
	v.w.Header().Add("Vary", "Accept-Language")
	write(v.w, v.r, p.Status, b.Bytes())
}

// identity tells the user who they are here, and how to be somebody else.
func (v *visit) identity(p *Page) {
	cfg := &v.h.cfg
	if cfg.UserName != nil {
		p.User = cfg.UserName(v.r)
	}
	if p.SignOut, p.SignOutPost = cfg.SignOutURL, cfg.SignOutPost; strings.HasPrefix(p.SignOut, "/") {
		p.SignOut = cfg.Enforcer.Address(p.SignOut, "")
	}
}

// write writes the whole answer. A client that has gone does not matter.
func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
