package rules_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/rules"
)

// TestDiff shows what a change makes of each route.
func TestDiff(t *testing.T) {
	t.Parallel()
	before := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	admin := func(require, more string) string {
		return head + "rules:\n  - name: admin\n    require: " + require + "\n    under: [\"/admin\"]\n" + more
	}
	rows := map[string]struct {
		before, after string
		routes        []rules.Route
		want          []string
	}{
		"nothing":          {small, small + "# a comment\n", nil, nil},
		"another spelling": {admin("OTP or FACE", ""), admin("1 of (FACE, OTP)", ""), nil, nil},
		"stricter": {admin("OTP or FACE", ""), admin("OTP and FACE", ""), nil, []string{
			"stricter: /admin: admin (OTP or FACE) -> admin (OTP and FACE)", "stricter: below /admin: admin (OTP or FACE) -> admin (OTP and FACE)",
		}},
		"looser for the routes there are": {admin("OTP and FACE", ""), admin("OTP", ""), []rules.Route{{Method: "GET", Path: "/admin/users/:id"}, {Method: "GET", Path: "/"}}, []string{
			"looser: GET|HEAD /admin/users/:id: admin (OTP and FACE) -> admin (OTP)",
		}},
		"incomparable": {admin("SMS", ""), admin("FACE", ""), []rules.Route{{Method: "ANY", Path: "/admin"}}, []string{"incomparable: /admin: admin (SMS) -> admin (FACE)"}},
		"report-only":  {admin("OTP", ""), admin("OTP", "    mode: report-only\n"), []rules.Route{{Method: "ANY", Path: "/admin"}}, []string{"looser: /admin: admin (OTP) -> admin (OTP, report-only)"}},
		"enforced":     {admin("OTP and FACE", "    mode: report-only\n"), admin("SMS", ""), []rules.Route{{Method: "ANY", Path: "/admin"}}, []string{"stricter: /admin: admin (OTP and FACE, report-only) -> admin (SMS)"}},
		"another report": {admin("OTP and FACE", "    mode: report-only\n"), admin("OTP", "    mode: report-only\n"), []rules.Route{{Method: "ANY", Path: "/admin"}}, []string{
			"looser: /admin: admin (OTP and FACE, report-only) -> admin (OTP, report-only)",
		}},
		"removed": {admin("OTP and FACE", ""), head, nil, []string{
			"looser: /admin: admin (OTP and FACE) -> default (OTP)", "looser: below /admin: admin (OTP and FACE) -> default (OTP)",
		}},
		"the same by another rule": {head, admin("OTP", ""), []rules.Route{{Method: "GET", Path: "/admin"}}, []string{"equal: GET|HEAD /admin: default (OTP) -> admin (OTP)"}},
		"the default": {head, "version: 1\ndefault: {require: OTP and FACE}\n", nil, []string{
			"stricter: no route: default (OTP) -> default (OTP and FACE)", "stricter: below /: default (OTP) -> default (OTP and FACE)",
		}},
		"a directory": {admin("OTP", ""), rule("name: admin", "public: b", `under: ["/admin"]`), nil, []string{
			"looser: /admin: admin (OTP) -> admin (public)", "equal: /admin*: admin (OTP) -> default (OTP)", "looser: below /admin: admin (OTP) -> admin (public)",
		}},
		"a method": {head, rule("name: a", "public: b", `routes: ["POST /a"]`), nil, []string{"looser: POST /a: default (OTP) -> a (public)"}},
		"an exemption": {head, rule("name: a", "exempt: {reason: b, owner: c, expires: 2026-12-31}", `routes: ["/a"]`), nil, []string{
			"looser: /a: default (OTP) -> a (exempt until 2027-01-01T00:00:00Z), else default (OTP)",
		}},
		"a longer exemption": {
			rule("name: a", "exempt: {reason: b, owner: c, expires: 2026-12-30}", `routes: ["/a"]`), rule("name: a", "exempt: {reason: b, owner: c, expires: 2026-12-31}", `routes: ["/a"]`), nil,
			[]string{"looser: /a: a (exempt until 2026-12-31T00:00:00Z), else default (OTP) -> a (exempt until 2027-01-01T00:00:00Z), else default (OTP)"},
		},
		"no longer public, but exempt": {
			rule("name: a", "public: b", `routes: ["/a"]`), rule("name: a", "exempt: {reason: b, owner: c, expires: 2026-12-31}", `routes: ["/a"]`), nil,
			[]string{"stricter: /a: a (public) -> a (exempt until 2027-01-01T00:00:00Z), else default (OTP)"},
		},
		"one that has expired": {head, rule("name: a", "exempt: {reason: b, owner: c, expires: 2025-12-31}", `routes: ["/a"]`), nil, []string{
			"equal: /a: default (OTP) -> a (exempt until 2026-01-01T00:00:00Z), else default (OTP)",
		}},
		"a host": {head, rule("name: a", "public: b", `routes: ["/a"]`, `under: ["h.example/b"]`), nil, []string{
			"looser: /a: default (OTP) -> a (public)",
			"looser: h.example/b: default (OTP) -> a (public)", "looser: below h.example/b: default (OTP) -> a (public)",
		}},
		"for a role": {head, rule("name: a", "require: OTP and FACE", "when: {role: [admin]}", `routes: ["/a"]`), nil, []string{
			"stricter: /a: default (OTP) -> a (OTP and FACE, role admin), else default (OTP)",
		}},
		"for another role": {
			rule("name: a", "require: OTP and FACE", "when: {role: [admin]}", `routes: ["/a"]`), rule("name: a", "require: OTP and FACE", "when: {role: [owner]}", `routes: ["/a"]`), nil,
			[]string{"incomparable: /a: a (OTP and FACE, role admin), else default (OTP) -> a (OTP and FACE, role owner), else default (OTP)"},
		},
		"for one role fewer": {
			rule("name: a", "require: OTP and FACE", "when: {role: [admin, owner], tenant: [b]}", `routes: ["/a"]`), rule("name: a", "require: OTP and FACE", "when: {role: [owner], tenant: [b]}", `routes: ["/a"]`), nil,
			[]string{"looser: /a: a (OTP and FACE, role admin|owner, tenant b), else default (OTP) -> a (OTP and FACE, role owner, tenant b), else default (OTP)"},
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, c := range rules.Diff(parse(t, row.before), parse(t, row.after), row.routes, before) {
				got = append(got, c.String())
			}
			assert.Equal(t, row.want, got)
		})
	}
}
