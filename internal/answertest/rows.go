package answertest

import (
	"maps"
	"net/http"

	"github.com/echomfa/echomfa"
)

func rows() map[string]Row {
	all := make(map[string]Row)
	for _, part := range []map[string]Row{
		allowed(), unauthenticated(), notEnrolled(), unavailableRows(), frames(), circles(), scripts(), userRefs(),
	} {
		for name, row := range part {
			if _, twice := all[name]; twice {
				panic("two rows are called " + name)
			}
			all[name] = row
		}
	}
	return all
}

// pages is an app with an enrollment page and a sign-in page of its own.
func pages() echomfa.Config {
	return echomfa.Config{EnrollURL: "/mfa", LoginURL: "/login"}
}

func allowed() map[string]Row {
	ok := map[string]string{"Cache-Control": "", "Vary": "", "Location": ""}
	return map[string]Row{
		"enrolled: the handler runs": {
			request: "GET /admin", headers: []string{bearer(Enrolled)}, wantStatus: 200, want: ok, wantBody: "secret page",
		},
		"enrolled: whatever the method": {
			request: "DELETE /admin", headers: []string{bearer(Enrolled)}, wantStatus: 200, want: ok, wantBody: "secret page",
		},
		"enrolled: the scheme's case does not matter": {
			request: "GET /admin", headers: []string{"Authorization: bEARER   " + Enrolled},
			wantStatus: 200, want: ok, wantBody: "secret page",
		},
		"enrolled: from a cookie": {
			request: "GET /admin", headers: []string{"Cookie: session=" + Enrolled},
			config:     echomfa.Config{TokenLookup: "cookie:session"},
			wantStatus: 200, want: ok, wantBody: "secret page",
		},
	}
}

func unauthenticated() map[string]Row {
	claims := func(change map[string]any) string {
		c := map[string]any{"sub": "u1", "aud": "app"}
		maps.Copy(c, change)
		return bearer(JWT(c))
	}
	invalidToken := func(header string) Row {
		return Row{
			request: "GET /admin", headers: []string{header}, wantStatus: 401, wantError: "invalid_token",
			want: map[string]string{"Content-Type": isJSON}, wantBody: "#ProblemUnauthenticated",
		}
	}
	invalidRequest := func(headers ...string) Row {
		return Row{
			request: "GET /admin", headers: headers, wantStatus: 401, wantError: "invalid_request",
			want: map[string]string{"Content-Type": isJSON}, wantBody: anyBody,
		}
	}
	return map[string]Row{
		"no token, program": {
			request: "GET /admin", config: pages(), wantStatus: 401,
			want: map[string]string{"Content-Type": isJSON, "Location": ""}, wantBody: `"title":"Unauthorized"`,
		},
		"no token, another scheme": {
			request: "GET /admin", headers: []string{"Authorization: Basic dTpw"}, wantStatus: 401, wantBody: anyBody,
		},
		"no token, HEAD": {request: "HEAD /admin", wantStatus: 401},
		"no token, two cookies of the name": {
			request: "GET /admin", headers: []string{"Cookie: session=" + Enrolled + "; session=" + Enrolled},
			config:     echomfa.Config{TokenLookup: "cookie:session"},
			wantStatus: 401, wantError: "invalid_request", wantBody: anyBody,
		},
		"malformed token: two Authorization lines":   invalidRequest(bearer(Enrolled), bearer(Enrolled)),
		"malformed token: empty":                     invalidRequest("Authorization: Bearer"),
		"malformed token: only spaces":               invalidRequest("Authorization: Bearer  "),
		"malformed token: not b64token":              invalidToken(bearer("a b")),
		"malformed token: comma list":                invalidToken(bearer(Enrolled + ", Bearer x")),
		"refused by GenAuth":                         invalidToken(bearer(refused)),
		"refused by rule 9: another app's token":     invalidToken(claims(map[string]any{"aud": "other"})),
		"refused by rule 9: a machine's token":       invalidToken(claims(map[string]any{"sub": nil})),
		"refused by rule 9: an ID token":             invalidToken(claims(map[string]any{"nonce": "n"})),
		"refused by rule 9: an ID token's hash":      invalidToken(claims(map[string]any{"at_hash": "h"})),
		"refused by rule 9: a delegated token":       invalidToken(claims(map[string]any{"act": map[string]any{"sub": "agent"}})),
		"refused by rule 9: no audience":             invalidToken(claims(map[string]any{"aud": nil})),
		"refused by rule 9: an audience of numbers":  invalidToken(claims(map[string]any{"aud": 7})),
		"refused, browser: LoginURL with return-to":  browserTo("GET /admin/users?page=2", bearer(refused), 302, "/login?return_to=%2Fadmin%2Fusers%3Fpage%3D2"),
		"no token, browser: LoginURL with return-to": browserTo("GET /admin/users?page=2&q=a%2Fb", "", 302, "/login?return_to=%2Fadmin%2Fusers%3Fpage%3D2%26q%3Da%252Fb"),
		"no token, browser form: LoginURL alone":     browserTo("POST /admin/users?page=2", "", 303, "/login"),
		"no token, HTMX: HX-Redirect": {
			request: "POST /admin/users", headers: []string{asHTMX, fromPage}, config: pages(), wantStatus: 401,
			want:     map[string]string{"HX-Redirect": "/login?return_to=%2Fadmin%2Flist%3Fpage%3D3", "Location": ""},
			wantBody: anyBody,
		},
		"no token, browser, no LoginURL: a page": {
			request: "GET /admin", headers: []string{asBrowser}, wantStatus: 401,
			want: map[string]string{"Content-Type": isHTML, "Location": ""}, wantBody: "<h1>Unauthorized</h1>",
		},
		"no token, browser, on LoginURL itself: a page": {
			request: "GET /login/?x=1", headers: []string{asBrowser}, config: pages(), wantStatus: 401,
			want: map[string]string{"Content-Type": isHTML, "Location": ""}, wantBody: anyBody,
		},
	}
}

func browserTo(request, header string, status int, location string) Row {
	headers := []string{asBrowser}
	if header != "" {
		headers = append(headers, header)
	}
	return Row{
		request: request, headers: headers, config: pages(), wantStatus: status,
		want: map[string]string{"Location": location, "HX-Redirect": "", "Content-Type": ""},
	}
}

func notEnrolled() map[string]Row {
	page := map[string]string{"Content-Type": isHTML, "Location": ""}
	return map[string]Row{
		"factors missing, program": {
			request: "GET /admin", headers: []string{bearer(NotEnrolled)}, config: pages(), wantStatus: 403,
			want:     map[string]string{"Content-Type": isJSON, "Location": "", "Retry-After": ""},
			wantBody: `"missing":[["OTP"],["FACE"]],"enrolled":["EMAIL"],"enroll_url":"/mfa"}`,
		},
		"factors missing, program that takes anything": {
			request: "GET /admin", headers: []string{bearer(NotEnrolled), "Accept: */*"}, config: pages(), wantStatus: 403,
			want: map[string]string{"Content-Type": isJSON, "Location": ""}, wantBody: anyBody,
		},
		"factors missing, script by its own word": {
			request: "GET /admin", headers: []string{bearer(NotEnrolled), "Sec-Fetch-Mode: cors", "Accept: text/html"},
			config: pages(), wantStatus: 403, want: map[string]string{"Content-Type": isJSON, "Location": ""}, wantBody: anyBody,
		},
		"factors missing, HEAD has no body": {
			request: "HEAD /admin", headers: []string{bearer(NotEnrolled)}, config: pages(), wantStatus: 403,
			want: map[string]string{"Content-Type": isJSON},
		},
		"factors missing, browser": browserTo("GET /admin/users?page=2", bearer(NotEnrolled), 302,
			"/mfa?return_to=%2Fadmin%2Fusers%3Fpage%3D2"),
		"factors missing, browser HEAD": browserTo("HEAD /admin", bearer(NotEnrolled), 302, "/mfa?return_to=%2Fadmin"),
		"factors missing, browser by Accept": {
			request: "GET /admin", headers: []string{bearer(NotEnrolled), "Accept: text/html,application/xhtml+xml,*/*;q=0.8"},
			config: pages(), wantStatus: 302, want: map[string]string{"Location": "/mfa?return_to=%2Fadmin"},
		},
		"factors missing, browser form":   browserTo("POST /admin/users?page=2", bearer(NotEnrolled), 303, "/mfa"),
		"factors missing, browser delete": browserTo("DELETE /admin", bearer(NotEnrolled), 303, "/mfa"),
		"factors missing, browser, enrollment elsewhere": {
			request: "GET /admin?a=1", headers: []string{asBrowser, bearer(NotEnrolled)}, wantStatus: 302,
			config: echomfa.Config{
				EnrollURL: "https://id.example.net/u?tab=mfa#bind",
				ReturnTo:  echomfa.ReturnToConfig{BaseURL: "https://admin.example.com/", Param: "next"},
			},
			want: map[string]string{
				"Location": "https://id.example.net/u?tab=mfa&next=https%3A%2F%2Fadmin.example.com%2Fadmin%3Fa%3D1#bind",
			},
		},
		"factors missing, browser, return-to disabled": {
			request: "GET /admin?a=1", headers: []string{asBrowser, bearer(NotEnrolled)}, wantStatus: 302,
			config: echomfa.Config{EnrollURL: "https://id.example.net/u", ReturnTo: echomfa.ReturnToConfig{Disabled: true}},
			want:   map[string]string{"Location": "https://id.example.net/u"},
		},
		"factors missing, browser, return-to not in the grammar": {
			request: "GET /a/%2e%2e/b", headers: []string{asBrowser, bearer(NotEnrolled)}, wantStatus: 302,
			config: pages(), want: map[string]string{"Location": "/mfa"},
		},
		"factors missing, HTMX": {
			request: "GET /admin/rows", headers: []string{asHTMX, fromPage, bearer(NotEnrolled)}, config: pages(), wantStatus: 403,
			want:     map[string]string{"HX-Redirect": "/mfa?return_to=%2Fadmin%2Flist%3Fpage%3D3", "Location": "", "Content-Type": isJSON},
			wantBody: `"missing"`,
		},
		"factors missing, HTMX from another site's page": {
			request: "GET /admin/rows", config: pages(), wantStatus: 403, wantBody: anyBody,
			headers: []string{asHTMX, "HX-Current-URL: https://evil.example/x", bearer(NotEnrolled)},
			want:    map[string]string{"HX-Redirect": "/mfa"},
		},
		"factors missing, HTMX from no readable page": {
			request: "GET /admin/rows", config: pages(), wantStatus: 403, wantBody: anyBody,
			headers: []string{asHTMX, "HX-Current-URL: http://%zz/", bearer(NotEnrolled)},
			want:    map[string]string{"HX-Redirect": "/mfa"},
		},
		"factors missing, browser, no EnrollURL: a page": {
			request: "GET /admin", headers: []string{asBrowser, bearer(NotEnrolled)}, wantStatus: 403,
			want: page, wantBody: "OTP or FACE",
		},
		"factors missing, browser, on EnrollURL itself: a page": {
			request: "GET /mfa?return_to=/x", headers: []string{asBrowser, bearer(NotEnrolled)}, config: pages(), wantStatus: 403,
			want: page, wantBody: "Reference: <code>",
		},
	}
}

func unavailableRows() map[string]Row {
	row := func(token, retryAfter string) Row {
		return Row{
			request: "GET /admin", headers: []string{bearer(token)}, config: pages(), wantStatus: http.StatusServiceUnavailable,
			want:     map[string]string{"Retry-After": retryAfter, "Content-Type": isJSON, "Location": ""},
			wantBody: `"title":"Service Unavailable"`,
		}
	}
	return map[string]Row{
		"unavailable":   row(unavailable, "1"),
		"rate limited":  row(limited, "7"),
		"malformed":     row(malformed, "1"),
		"misconfigured": row(misconfigured, "1"),
		"unavailable, browser: a page": {
			request: "GET /admin", headers: []string{asBrowser, bearer(unavailable)}, config: pages(), wantStatus: 503,
			want:     map[string]string{"Retry-After": "1", "Content-Type": isHTML, "Location": ""},
			wantBody: "<h1>Service Unavailable</h1>",
		},
		"unavailable, HTMX: no redirect": {
			request: "GET /admin", headers: []string{asHTMX, bearer(unavailable)}, config: pages(), wantStatus: 503,
			want: map[string]string{"HX-Redirect": "", "Retry-After": "1"}, wantBody: anyBody,
		},
		"panic in the lister": {
			request: "GET /admin", headers: []string{bearer(panicking)}, config: pages(), wantStatus: 500,
			want: map[string]string{"Content-Type": isJSON, "Location": "", "Retry-After": ""}, wantBody: "Internal Server Error",
		},
	}
}

// userRefs are of an app whose refusals name their users.
func userRefs() map[string]Row {
	const user = "IW422ZB5XKDFNLQ4"
	config := echomfa.Config{UserRefKey: []byte("0123456789abcdef")}
	claims := func(name string, value any) string {
		return bearer(JWT(map[string]any{"sub": "user-1", "aud": "app", name: value}))
	}
	row := func(status int, header, content, body string, more ...string) Row {
		return Row{
			request: "GET /admin", headers: append(more, header), config: config, wantStatus: status,
			want: map[string]string{"Content-Type": content}, wantBody: body,
		}
	}
	refused := row(http.StatusUnauthorized, claims("aud", "other"), isJSON, `"user_ref":"`+user+`"`)
	refused.wantError = "invalid_token"
	return map[string]Row{
		"factors missing, a user by name":                  row(http.StatusForbidden, bearer(named()), isJSON, `"user_ref":"`+user+`"`),
		"factors missing, a user by name, browser":         row(http.StatusForbidden, bearer(named()), isHTML, "User: <code>"+user, asBrowser),
		"unavailable, a user by name":                      row(http.StatusServiceUnavailable, claims("jti", "x"), isJSON, `"user_ref":"`+user+`"`),
		"refused by rule 9: another app's, a user by name": refused,
	}
}
