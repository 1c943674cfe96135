//go:build slow

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/integration/npmtest"
)

// The scripts that navigate in the browser's place, as their makers publish them.
const (
	turboScript  = `<script src="/npm/@hotwired/turbo/dist/turbo.es2017-umd.js"></script>`
	unpolyScript = `<script src="/npm/unpoly/unpoly.js"></script><link rel="stylesheet" href="/npm/unpoly/unpoly.css">`
	htmxScript   = `<script src="/npm/htmx.org/dist/htmx.js"></script>`
	htmx2Script  = `<script src="/npm/htmx2/dist/htmx.js"></script>`

	// What it imports comes in one file, and what it needs for one.
	inertiaScript = `<script src="/npm/es-toolkit/dist/browser.global.js"></script><script type="importmap">{"imports": {
		"es-toolkit": "data:text/javascript,export const { cloneDeep, isEqual } = _",
		"es-toolkit/compat": "data:text/javascript,export const { get, set, has, toPath } = _",
		"laravel-precognition": "data:text/javascript,export const client = { use() {} }"
	}}</script><script type="module">
		import { router } from "/npm/@inertiajs/core/dist/index.js";
		router.init({
			initialPage: { component: "Start", props: {}, url: location.pathname, version: null, flash: {} },
			resolveComponent: (name) => name, swapComponent: async () => {}, onFlash: () => {},
		});
		document.querySelector("#go").onclick = (event) => {
			event.preventDefault();
			const form = document.querySelector("#go").form;
			form ? router.post(form.getAttribute("action"), {}) : router.visit(document.querySelector("#go").getAttribute("href"));
		};
		window.ready = true;
	</script>`
)

// TestFieldF18ScriptsThatNavigate has links, forms and frames of a page that scripts
// take over, to a route that is guarded: each time the user is at the page that
// helps, with the address that was wanted if there is one to come back to.
func TestFieldF18ScriptsThatNavigate(t *testing.T) {
	t.Parallel()
	const link, form = `<a id="go" href="/admin?page=2">Admin</a>`, `<form action="/admin" method="post"><button id="go">Save</button></form>`
	const back = "?return_to=%2Fadmin%3Fpage%3D2"
	type row struct{ name, body, want string }
	tests := []struct {
		name, script string
		rows         []row
	}{
		{"Turbo", turboScript, []row{
			{"link", link, back},
			{"form", form, ""},
			{"form, GET", `<form action="/admin"><input name="page" value="2"><button id="go">Find</button></form>`, back},
			{"link for streams", `<a id="go" href="/admin?page=2" data-turbo-stream>Admin</a>`, back},
			{"form, assets tracked", `<link rel="stylesheet" href="data:text/css," data-turbo-track="reload">` + form, ""},
			{"link in a frame", `<turbo-frame id="f">` + link + `</turbo-frame>`, back},
			{"form in a frame", `<turbo-frame id="f">` + form + `</turbo-frame>`, ""},
			{"link that advances", `<turbo-frame id="f" data-turbo-action="advance">` + link + `</turbo-frame>`, back},
			{"frame that loads", `<turbo-frame id="f"></turbo-frame><button id="go" onclick="f.src='/admin?page=2'">Load</button>`, back},
		}},
		{"Unpoly", unpolyScript, []row{
			{"link", `<a id="go" href="/admin?page=2" up-follow>Admin</a>`, back},
			{"link to a fragment", `<a id="go" href="/admin?page=2" up-target="#x">Admin</a><p id="x">`, back},
			{"link to a modal", `<a id="go" href="/admin?page=2" up-layer="new modal">Admin</a>`, back},
			{"link in a modal", `<script>addEventListener("load", () => up.layer.open({content: '<div><a id="go" href="/admin?page=2" up-follow>Admin</a></div>', animation: false}))</script>`, back},
			{"form", strings.Replace(form, "method", "up-submit method", 1), ""},
			{"form, failures hidden", strings.Replace(form, "method", `up-submit up-fail-target=":none" method`, 1), ""},
		}},
		{"Inertia", inertiaScript, []row{
			{"visit", link, back},
			{"form", form, ""},
		}},
		{"htmx 4", htmxScript, []row{
			{"boosted", `<div hx-boost="true" hx-boost:inherited="true">` + link + `</div>`, back},
		}},
		{"htmx 2", htmx2Script, []row{
			{"boosted", `<div hx-boost="true">` + link + `</div>`, back},
			{"boosted form", `<div hx-boost="true">` + form + `</div>`, "?return_to=%2F"},
			{"a part of the page", `<a id="go" hx-get="/admin?page=2">Part</a>`, "?return_to=%2F"},
		}},
	}
	modules := http.StripPrefix("/npm/", http.FileServer(http.Dir(npmtest.Install(t, filepath.Join("testdata", "scripts")))))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tb := newTab(t, "") // for all rows: opening one takes longer than a row
			for _, row := range test.rows {
				token, page := answertest.NotEnrolled, "/mfa"
				if strings.HasSuffix(row.name, "link") || strings.HasSuffix(row.name, "form") {
					token, page = "", "/login"
				}
				call(tb, network.ClearBrowserCookies, cdp.Empty{}) // they know no port
				tb.app = startScripted(t, modules, token, test.script+row.body)
				tb.open("/")
				if test.script == inertiaScript {
					tb.wait("window.ready === true")
				}
				tb.wait("document.querySelector('#go') !== null")
				tb.click("#go")
				tb.wait(fmt.Sprintf("document.readyState === 'complete' && location.pathname + location.search === %q", page+row.want))
				tb.wait("document.querySelector('h1').textContent === 'Help'")
				assert.Equal(t, "fresh", eval[string](tb, "document.documentElement.dataset.is"), "%s: a page of its own", row.name)
			}
			tb.mu.Lock()
			defer tb.mu.Unlock()
			tb.problems = nil // such as a line on the console for the status 403
		})
	}
}

// startScripted starts an app with one page, a route that is guarded, and pages
// that help.
func startScripted(t *testing.T, modules http.Handler, token, body string) string {
	t.Helper()
	enforcer, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "scripts", InsecureAnyAudience: true,
		EnrollURL: "/mfa", LoginURL: "/login",
		Token: func(*http.Request) (string, error) { return token, nil },
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, enforcer.Close()) })
	write := func(is, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en" data-is=%q><head><title>App</title><link rel="icon" href="data:,">%s`, is, body)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/npm/", modules)
	mux.Handle("/admin", enforcer.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.OTP)})(http.NotFoundHandler()))
	mux.HandleFunc("/", write("first", body))
	mux.HandleFunc("/mfa", write("fresh", "<main><h1>Help</h1></main>"))
	mux.HandleFunc("/login", write("fresh", "<main><h1>Help</h1></main>"))
	app := httptest.NewServer(mux)
	t.Cleanup(app.Close)
	return app.URL
}
