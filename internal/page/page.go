// Package page has the page for a browser that cannot be redirected, and for
// scripts that put the answer into theirs. It shows nothing of the request but the
// name of the Turbo frame that asked for it, and needs nothing but itself. An app's
// own page takes its place, in the same frames and under the same policy.
package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
)

const (
	pageStyle = `body{margin:0;font:1rem/1.5 system-ui,sans-serif;color:#1c1c1e;background:#f6f6f8}` +
		`main{max-width:34rem;margin:12vh auto;padding:2rem;background:#fff;border:1px solid #d9d9de;border-radius:.75rem}` +
		`h1{margin:0 0 .5rem;font-size:1.4rem}code{overflow-wrap:anywhere}small{color:#55555c}` +
		`@media(prefers-color-scheme:dark){body{color:#f2f2f7;background:#111}a{color:#8ab4f8}` +
		`main{background:#1c1c1e;border-color:#3a3a3c}small{color:#aeaeb2}}`

	// A refresh works wherever it is put, at once and by script, and a
	// Content-Security-Policy does not keep it from working, as it would a script.
	textHTML = `{{define "text"}}{{if .Own}}{{.Own}}
{{else}}{{if .Moves}}<meta http-equiv="refresh" content="0; url={{.Link}}">
{{end}}<h1>{{.Title}}</h1>
<p>{{.Detail}}</p>
{{with .Link}}<p><a href="{{.}}" target="_top" data-turbo="false" up-follow="false">{{$.Step}}</a></p>
{{end}}{{if .Retry}}<p><a href="">Try again</a></p>
{{end}}{{with .DecisionID}}<p><small>Reference: <code>{{.}}</code></small></p>
{{end}}{{with .UserRef}}<p><small>User: <code>{{.}}</code></small></p>
{{end}}{{end}}{{end}}`

	pageHTML = `<!doctype html>
<html lang="{{.Lang}}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{if .Whole}}<meta name="turbo-visit-control" content="reload">
{{end}}<title>{{.Title}}</title>
<style>` + pageStyle + `</style>
{{with .Frame}}<turbo-frame id="{{.}}">
{{end}}<main{{if .Own}} lang="{{.Lang}}"{{end}}>
{{template "text" .}}</main>
{{with .Frame}}</turbo-frame>
{{end}}</html>
`

	// Turbo puts stream elements into the page, whatever the request was for. The
	// answer goes before what there is, so that a form that was filled in is not lost.
	streamHTML = `<turbo-stream action="prepend" targets="body"><template>
<section id="echomfa-refusal" role="alert"{{if .Own}} lang="{{.Lang}}"{{end}}>
{{template "text" .}}</section>
</template></turbo-stream>
`
)

// View is what a page shows.
type View struct {
	Title, Detail string
	DecisionID    string // or empty
	UserRef       string // or empty
	Link          string // where the user can go on, or empty
	Step          string // what is done there
	Moves         bool   // the browser goes there by itself
	Retry         bool   // asking again for the page may help, and does nothing else
	Whole         bool   // a Turbo frame gives way to the whole page
	Frame         string // the Turbo frame that shows the page, or empty

	Lang string        // of what is said
	Own  template.HTML // what the app says in place of all that, or empty
}

// Pages writes views.
type Pages struct{ templates *template.Template }

// New returns the pages.
func New() Pages {
	t := template.Must(template.New("page").Parse(textHTML + pageHTML))
	template.Must(t.New("stream").Parse(streamHTML))
	return Pages{templates: t}
}

// Whole returns a view as a page of its own.
func (p Pages) Whole(v *View) []byte { return p.write("page", v) }

// Stream returns a view as what Turbo puts into the app's own page.
func (p Pages) Stream(v *View) []byte { return p.write("stream", v) }

func (p Pages) write(name string, v *View) []byte {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, v); err != nil {
		b.Reset() // cannot happen: the template is constant
	}
	return b.Bytes()
}

// Policy is a Content-Security-Policy that allows the page its own style and nothing
// else. A page in a frame is shown to the app's own pages only.
func Policy(sameOriginFrame bool) string {
	return "default-src 'none'; style-src " + hashOf(pageStyle) + "; base-uri 'none'; form-action 'none'; frame-ancestors " + ancestors(sameOriginFrame)
}

// OwnPolicy is the Content-Security-Policy of an app's own page, with the style that
// is in it. The sources are what else it may load, or empty. Of two directives the
// first counts, so they cannot take back what stands before them.
func OwnPolicy(style, sources string, sameOriginFrame bool) string {
	if sources == "" {
		sources = "style-src 'self'"
		if style != "" {
			sources += " " + hashOf(style)
		}
		sources += "; img-src 'self' data:; font-src 'self'"
	}
	return "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors " + ancestors(sameOriginFrame) + "; " + sources
}

func ancestors(sameOriginFrame bool) string {
	if sameOriginFrame {
		return "'self'"
	}
	return "'none'"
}

func hashOf(style string) string {
	hash := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
}
