package echomfa

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
)

// The page for a browser that cannot be redirected. It shows nothing of the
// request, and needs nothing but itself.
const (
	pageStyle = `body{margin:0;font:1rem/1.5 system-ui,sans-serif;color:#1c1c1e;background:#f6f6f8}` +
		`main{max-width:34rem;margin:12vh auto;padding:2rem;background:#fff;border:1px solid #d9d9de;border-radius:.75rem}` +
		`h1{margin:0 0 .5rem;font-size:1.4rem}code{overflow-wrap:anywhere}small{color:#55555c}` +
		`@media(prefers-color-scheme:dark){body{color:#f2f2f7;background:#111}main{background:#1c1c1e;border-color:#3a3a3c}small{color:#aeaeb2}}`

	pageHTML = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>` + pageStyle + `</style>
<main>
<h1>{{.Title}}</h1>
<p>{{.Detail}}</p>
{{with .DecisionID}}<p><small>Reference: <code>{{.}}</code></small></p>
{{end}}</main>
</html>
`
)

func newPage() *template.Template {
	return template.Must(template.New("refusal").Parse(pageHTML))
}

// pagePolicy allows the page its own style and nothing else.
func pagePolicy() string {
	hash := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
