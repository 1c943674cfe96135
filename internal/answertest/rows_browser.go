package answertest

import (
	"github.com/echomfa/echomfa"
)

const turboStream = "Accept: text/vnd.turbo-stream.html, text/html, application/xhtml+xml"

// frames has what a navigation is for, by its own word.
func frames() map[string]Row {
	framed := func(request, site string, headers ...string) Row {
		ancestors := "frame-ancestors 'none'"
		if site == "same-origin" {
			ancestors = "frame-ancestors 'self'"
		}
		return Row{
			request: request, headers: append([]string{asBrowser, "Sec-Fetch-Site: " + site}, headers...), config: pages(),
			wantStatus: 403, wantBody: `target="_top"`, wantPolicy: ancestors,
			want: map[string]string{"Content-Type": isHTML, "Location": "", "Set-Cookie": ""},
		}
	}
	signIn := framed("GET /admin?a=1", "same-origin", "Sec-Fetch-Dest: iframe")
	signIn.wantStatus, signIn.wantBody = 401, `href="/login?return_to=%2Fadmin%3Fa%3D1" target="_top"`
	unavailableFrame := framed("GET /admin", "same-origin", "Sec-Fetch-Dest: iframe", bearer(unavailable))
	unavailableFrame.wantStatus, unavailableFrame.wantBody = 503, "Service Unavailable"
	return map[string]Row{
		"factors missing, browser, a document": {
			request: "GET /admin", headers: []string{asBrowser, "Sec-Fetch-Dest: document", bearer(NotEnrolled)}, config: pages(),
			wantStatus: 302, want: map[string]string{"Location": "/mfa?return_to=%2Fadmin"},
		},
		"factors missing, browser, a download": {
			request: "GET /admin", headers: []string{asBrowser, "Sec-Fetch-Dest: empty", "Accept: text/html", bearer(NotEnrolled)},
			config: pages(), wantStatus: 403, want: map[string]string{"Content-Type": isJSON, "Location": ""}, wantBody: anyBody,
		},
		"no token, browser, a download": {
			request: "GET /admin", headers: []string{asBrowser, "Sec-Fetch-Dest: empty"}, config: pages(), wantStatus: 401,
			want: map[string]string{"Content-Type": isJSON, "Location": ""}, wantBody: anyBody,
		},
		"unavailable, browser, a download": {
			request: "GET /admin", headers: []string{asBrowser, "Sec-Fetch-Dest: empty", bearer(unavailable)}, config: pages(),
			wantStatus: 503, want: map[string]string{"Content-Type": isJSON, "Retry-After": "1"}, wantBody: anyBody,
		},
		"factors missing, browser, a frame":              framed("GET /admin", "same-origin", "Sec-Fetch-Dest: iframe", bearer(NotEnrolled)),
		"factors missing, browser, a frame elsewhere":    framed("GET /admin", "cross-site", "Sec-Fetch-Dest: iframe", bearer(NotEnrolled)),
		"factors missing, browser, a frame of a sibling": framed("GET /admin", "same-site", "Sec-Fetch-Dest: frame", bearer(NotEnrolled)),
		"factors missing, browser, a form in a frame":    framed("POST /admin", "same-origin", "Sec-Fetch-Dest: frame", bearer(NotEnrolled)),
		"factors missing, browser, an embed":             framed("GET /admin", "same-origin", "Sec-Fetch-Dest: embed", bearer(NotEnrolled)),
		"factors missing, browser, an object":            framed("GET /admin", "same-origin", "Sec-Fetch-Dest: object", bearer(NotEnrolled)),
		"factors missing, browser, a fenced frame":       framed("GET /admin", "cross-site", "Sec-Fetch-Dest: fencedframe", bearer(NotEnrolled)),
		"no token, browser, a frame":                     signIn,
		"unavailable, browser, a frame":                  unavailableFrame,
	}
}

// circles has browsers that were sent away before.
func circles() map[string]Row {
	const round = "Cookie: echomfa_round_29="
	page := map[string]string{"Content-Type": isHTML, "Location": "", "Set-Cookie": ""}
	return map[string]Row{
		"refused, browser, the fourth time": {
			request: "GET /admin", headers: []string{asBrowser, bearer(refused), round + "3"}, config: pages(), wantStatus: 302,
			want: map[string]string{
				"Location":   "/login?return_to=%2Fadmin",
				"Set-Cookie": "echomfa_round_29=4; Path=/; Max-Age=30; HttpOnly; SameSite=Lax",
			},
		},
		"refused, browser, the fifth time": {
			request: "GET /admin", headers: []string{asBrowser, bearer(refused), round + "4"}, config: pages(), wantStatus: 401,
			wantError: "invalid_token", want: page,
			wantBody: "You were sent to sign in several times, but this page still cannot use your sign-in: the token was rejected.",
		},
		"factors missing, browser, the fifth time": {
			request: "GET /admin", headers: []string{asBrowser, bearer(NotEnrolled), round + "4"}, config: pages(), wantStatus: 403,
			want: page, wantBody: "but this page still requires one that you have not set up: OTP or FACE.",
		},
		"no token, HTMX, the fifth time": {
			request: "GET /admin", headers: []string{asHTMX, fromPage, round + "4"}, config: pages(), wantStatus: 401,
			want: map[string]string{"HX-Redirect": "", "Content-Type": isJSON}, wantBody: anyBody,
		},
	}
}

// scripts has what navigates in the browser's place.
func scripts() map[string]Row {
	row := func(request string, status int, want map[string]string, body string, headers ...string) Row {
		return Row{request: request, headers: headers, config: pages(), wantStatus: status, want: want, wantBody: body}
	}
	const address, back = "GET /admin/users?page=2", "?return_to=%2Fadmin%2Fusers%3Fpage%3D2"
	html := map[string]string{"Content-Type": isHTML, "Location": ""}
	stream := map[string]string{"Content-Type": "text/vnd.turbo-stream.html; charset=utf-8", "Location": ""}
	all := map[string]Row{
		"factors missing, HTMX, a boosted link": row(address, 403, map[string]string{"HX-Redirect": "/mfa" + back}, anyBody,
			asHTMX, fromPage, "HX-Boosted: true", bearer(NotEnrolled)),
		"factors missing, HTMX, the back button": row(address, 403, map[string]string{"HX-Redirect": "/mfa" + back}, anyBody,
			asHTMX, fromPage, "HX-History-Restore-Request: true", bearer(NotEnrolled)),
		"factors missing, HTMX, a boosted form": row("POST /admin", 403,
			map[string]string{"HX-Redirect": "/mfa?return_to=%2Fadmin%2Flist%3Fpage%3D3"}, anyBody,
			asHTMX, fromPage, "HX-Boosted: true", bearer(NotEnrolled)),
		"factors missing, Inertia": row(address, 409, map[string]string{"X-Inertia-Location": "/mfa" + back, "Content-Type": ""}, "",
			"X-Inertia: true", "X-Requested-With: XMLHttpRequest", bearer(NotEnrolled)),
		"no token, Inertia form": row("POST /admin", 409, map[string]string{"X-Inertia-Location": "/login"}, "", "X-Inertia: true"),
		"unavailable, Inertia: a page": row(address, 503, html, "<h1>Service Unavailable</h1>",
			"X-Inertia: true", bearer(unavailable)),
		"factors missing, Unpoly": row(address, 403, map[string]string{"Content-Type": isHTML, "X-Up-Open-Layer": `{"target": "main"}`},
			`<meta http-equiv="refresh" content="0; url=/mfa`+back+`">`, "X-Up-Version: 3.14.3", bearer(NotEnrolled)),
		"no token, Unpoly form": row("POST /admin", 401, html, `content="0; url=/login">`, "X-Up-Target: main"),
		"unavailable, Unpoly: a page": row(address, 503, map[string]string{"Content-Type": isHTML, "X-Up-Open-Layer": ""},
			"Service Unavailable", "X-Up-Version: 3.14.3", bearer(unavailable)),
		"factors missing, Turbo link": row(address, 403, stream, `content="0; url=/mfa`+back+`">`,
			"X-Turbo-Request-Id: 1", "Accept: text/html, application/xhtml+xml", "Sec-Fetch-Mode: cors", bearer(NotEnrolled)),
		"no token, Turbo form": row("POST /admin", 401, stream, `content="0; url=/login">`, turboStream),
		"factors missing, Turbo frame": row(address, 403, html, `<meta name="turbo-visit-control" content="reload">`,
			"Turbo-Frame: f", bearer(NotEnrolled)),
		"unavailable, Turbo form": row("POST /admin", 503, stream, "Service Unavailable", turboStream, bearer(unavailable)),
		"unavailable, Turbo frame": row(address, 503, html, `<turbo-frame id="a&#34;&gt;b">`,
			`Turbo-Frame: a">b`, bearer(unavailable)),
		"unavailable, Turbo link: a page": row(address, 503, html, "<h1>Service Unavailable</h1>",
			"X-Turbo-Request-Id: 1", "Accept: text/html", bearer(unavailable)),
		"factors missing, Turbo, before the click": row(address, 403, map[string]string{"Content-Type": isJSON, "Set-Cookie": ""}, anyBody,
			"X-Turbo-Request-Id: 1", "Accept: text/html", "X-Sec-Purpose: prefetch", bearer(NotEnrolled)),
		"factors missing, a program that uses Turbo's fetch": row(address, 403, map[string]string{"Content-Type": isJSON}, anyBody,
			"X-Turbo-Request-Id: 1", "Accept: application/json", bearer(NotEnrolled)),
	}
	for name, header := range map[string]string{"Inertia": "X-Inertia: true", "Unpoly": "X-Up-Version: 3.14.3", "Turbo frame": "Turbo-Frame: f", "Turbo form": turboStream} {
		noPage := row("POST /admin", 403, nil, "OTP or FACE", header, bearer(NotEnrolled))
		noPage.config = echomfa.Config{}
		all["factors missing, "+name+", no EnrollURL"] = noPage
	}
	return all
}
